// The invitation whose link was opened. Its secret is taken out of the address at once, so that it is neither copied nor
// kept there; it lives as long as the page.
import { invitationSecret } from "./people";

class OpenedInvitation {
  secret = $state<string | null>(null);

  constructor() {
    this.#read();
    addEventListener("hashchange", () => this.#read());
  }

  #read() {
    const secret = invitationSecret(location.hash);
    if (secret === null) return;
    this.secret = secret;
    history.replaceState(null, "", "#/overview");
  }

  /** It was accepted, or is of no interest. */
  close() {
    this.secret = null;
  }
}

export const invitation = new OpenedInvitation();
