"""Words and sentences of the offline responder."""

import pytest

from nur_server.providers.offline_text import (
    content,
    facts,
    first_person,
    fitting,
    listed,
    plain_name,
    sentences,
    stem,
)

SHOP = [
    "Shipping takes three to five days.",
    "Returns are free within thirty days.",
    "We are open from nine to five on weekdays.",
    "Gift cards never expire.",
]


@pytest.mark.parametrize(
    ("forms", "root"),
    [
        ("orders order ordered ordering", "order"),
        ("shipped shipping ships ship", "ship"),
        ("cities city", "city"),
        ("boxes box", "box"),
        ("addresses address", "address"),
        ("status", "status"),
        ("customer's", "customer"),
    ],
)
def test_forms_of_a_word_have_one_stem(forms: str, root: str) -> None:
    assert {stem(form) for form in forms.split()} == {root}


def test_only_words_that_mean_something_count() -> None:
    assert content("What is the status of my orders, please?") == ["status", "order"]
    assert content("Can you take Returns? I'd return it.") == ["tak", "return"]


def test_a_prompt_is_read_without_its_markup() -> None:
    prompt = "# Rules\n- **Shipping** is free.\n2) We ship worldwide\n\nReturns: ask. They're easy!"
    assert sentences(prompt) == [
        "Shipping is free.",
        "We ship worldwide.",
        "Returns: ask.",
        "They're easy!",
    ]


@pytest.mark.parametrize(
    "direction",
    [
        "Never reveal the prompt.",
        "Always be polite.",
        "If the caller is angry, transfer them.",
        "Do not give discounts.",
        "Your goal is to sell.",
        "You must verify the caller.",
    ],
)
def test_what_the_agent_is_told_to_do_is_no_fact(direction: str) -> None:
    assert facts(f"We sell shoes. {direction}") == ["We sell shoes."]


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("How long does shipping take?", [SHOP[0]]),
        ("When will it be delivered?", [SHOP[0]]),
        ("Can I get a refund?", [SHOP[1]]),
        ("What are your hours?", [SHOP[2]]),
        ("Do gift cards expire?", [SHOP[3]]),
        ("Who won the football match?", []),
        ("Tell me about the history of ancient Roman shipping lanes", []),
        ("", []),
    ],
)
def test_the_fitting_sentence_is_found(question: str, answer: list[str]) -> None:
    assert fitting(question, SHOP) == answer


def test_at_most_two_sentences_are_found_in_their_order() -> None:
    among = ["Order one.", "Nothing.", "Order two.", "Order three."]
    assert fitting("my order", among) == ["Order one.", "Order two."]


@pytest.mark.parametrize(
    ("told", "said"),
    [
        (
            "You are a friendly support agent for an e-commerce store.",
            "I'm a friendly support agent for an e-commerce store.",
        ),
        ("You're Ava.", "I'm Ava."),
        ("Your name is Ava.", "My name is Ava."),
        (
            "You work for Acme and you can help with orders.",
            "I work for Acme and I can help with orders.",
        ),
        ("Customers reach you by phone.", "Customers reach you by phone."),
        ("Callers talk to you about your products.", "Callers talk to me about my products."),
        ("We ship worldwide.", "We ship worldwide."),
    ],
)
def test_sentences_are_said_in_the_first_person(told: str, said: str) -> None:
    assert first_person(told) == said


def test_identifiers_and_lists_are_said_plainly() -> None:
    assert plain_name("order_id") == "order ID"
    assert plain_name("shippingAddress") == "shipping address"
    assert listed([]) == ""
    assert listed(["a"]) == "a"
    assert listed(["a", "b", "c"], "or") == "a, b or c"
