import { Head } from "../ui/parts";

export function Home() {
  return <Head title="Home" />;
}
