"""What is said over an agent: sentences to fit the weights of the conversation's judgement to."""
