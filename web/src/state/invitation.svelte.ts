// The invitation whose link was opened. Its secret is taken out of the address at once, so that it is neither copied nor
// kept there; it lives as long as the page. That there was one is kept with the place in the browser's history.
import { invitationSecret } from "./people";

class OpenedInvitation {
  secret = $state<string | null>(null);
  /** One was open here before the page was loaded anew; its secret is gone with that page. */
  lost = $state(false);

  constructor() {
    this.#read();
    this.lost = this.secret === null && (history.state as { invitation?: boolean } | null)?.invitation === true;
    addEventListener("hashchange", () => this.#read());
  }

  #read() {
    const secret = invitationSecret(location.hash);
    if (secret === null) return;
    this.secret = secret;
    this.lost = false;
    history.replaceState({ invitation: true }, "", "#/overview");
  }

  /** It was accepted, or is of no interest. */
  close() {
    this.secret = null;
    this.lost = false;
    history.replaceState(null, "");
  }
}

export const invitation = new OpenedInvitation();
