import { useEffect, useState } from "preact/hooks";
import { lookWhoIsSignedIn, said, session } from "./api";
import { Frame } from "./ui/frame";
import { Failure } from "./ui/parts";
import { Home } from "./views/home";
import { SignIn } from "./views/sign-in";

export function App() {
  const [error, setError] = useState<string | null>(null);
  const look = () => {
    setError(null);
    if (location.hash.startsWith("#lnk_")) {
      session.value = null;
      return;
    }
    lookWhoIsSignedIn().catch((failure) => setError(said(failure)));
  };
  useEffect(look, []);
  if (error !== null) return <main class="sign-in"><Failure text={error} again={look} /></main>;
  if (session.value === undefined) return null;
  if (session.value === null) return <SignIn />;
  return <Frame><View /></Frame>;
}

function View() {
  return <Home />;
}
