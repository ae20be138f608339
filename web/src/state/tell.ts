// Tells what became of what was begun in a tenant. Whoever has gone to another one meanwhile is told where it was.
import type { NoticeLevel } from "../api/generated";
import { account } from "./account.svelte";
import { notices } from "./notices.svelte";

export type Tell = (level: NoticeLevel, text: string) => void;

/** For what is begun now, or in the component in whose set-up this is called: each page is of one tenant. */
export function teller(): Tell {
  const { tenant, membership, session } = account;
  return (level, text) => {
    // Whoever has logged in meanwhile has begun nothing of it.
    if (account.session?.email !== session?.email) return;
    notices.add(level, tenant === account.tenant ? text : `${membership?.tenant_name ?? tenant}: ${text}`);
  };
}
