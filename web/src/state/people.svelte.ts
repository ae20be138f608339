// Who is behind an authid, as far as the person may know it: members by e-mail address, API tokens by name.
import type { AccountPage, MemberPage, TokenView } from "../api/generated";
import { http } from "../api/http";
import { account } from "./account.svelte";

/** Members or accounts that are asked for; of the others, the id is shown. */
const MOST = 500;

class People {
  /** Names by authid. */
  names = $state.raw<ReadonlyMap<string, string>>(new Map());
  #asked = 0;

  /** Those of a tenant; its tokens too where the person may list them. Where it fails, ids are shown. */
  async ofTenant(tenant: string, withTokens: boolean) {
    const path = `/api/tenants/${tenant}`;
    await this.#learn([
      http.get<MemberPage>(`${path}/members?limit=${MOST}`).then(({ members }) =>
        members.map((one): [string, string] => [one.account, one.email ?? one.account]),
      ),
      withTokens
        ? http.get<TokenView[]>(`${path}/api-tokens`).then((tokens) => tokens.map(({ id, name }): [string, string] => [id, name]))
        : Promise.resolve([]),
    ]);
  }

  /** Everybody's, for administrators. */
  async ofInstallation() {
    await this.#learn([
      http.get<AccountPage>(`/api/accounts?limit=${MOST}`).then(({ accounts }) => accounts.map(({ id, email }): [string, string] => [id, email])),
    ]);
  }

  async #learn(sources: Promise<[string, string][]>[]) {
    const mine = ++this.#asked;
    const told = await Promise.allSettled(sources.map((source) => account.asMember(source)));
    if (mine !== this.#asked) return;
    this.names = new Map(told.flatMap((one) => (one.status === "fulfilled" ? one.value : [])));
  }

  /** Nothing of one tenant is shown in another. */
  forget() {
    this.#asked += 1;
    this.names = new Map();
  }

  nameOf(authid: string): string {
    return this.names.get(authid) ?? authid;
  }
}

export const people = new People();
