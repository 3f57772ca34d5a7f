// More conversations than anybody would make by hand.
import type { Person } from './person.ts';

/** What a request needs to be this person's without a browser, which takes longer. */
export async function headersOf(person: Person): Promise<Record<string, string>> {
  const type = { 'Content-Type': 'application/json' };
  const who = { username: person.email, password: person.password };
  const body = JSON.stringify(who);
  const signedIn = await fetch(`${person.url}/auth/login`, { method: 'POST', headers: type, body });
  const { access_token: token } = (await signedIn.json()) as { access_token: string };
  return { ...type, Authorization: `Bearer ${token}` };
}

/** Conversations without messages, named by what this says of their number; some at once, in no exact order. */
export async function fillList(person: Person, count: number, title: (n: number) => string): Promise<void> {
  const headers = await headersOf(person);
  let next = 0;
  const one = async (): Promise<void> => {
    while (next < count) {
      const body = JSON.stringify({ title: title(next++) });
      const answer = await fetch(`${person.url}/sessions`, { method: 'POST', headers, body });
      if (!answer.ok) throw new Error(await answer.text());
      await answer.arrayBuffer();
    }
  };
  await Promise.all(Array.from({ length: 16 }, one));
}
