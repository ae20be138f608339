// The marks on a map: small elements that say by shape and colour how a device is. Texts are put in as texts, never as
// markup: names are what people typed.
import { divIcon, type DivIcon } from "leaflet";
import { LOOK } from "../state/liveness";
import { type MapDevice, type MapGroup, nameOf, worst } from "../state/map-points";

function element(kind: keyof HTMLElementTagNameMap, className: string, text = ""): HTMLElement {
  const made = document.createElement(kind);
  made.className = className;
  made.textContent = text;
  return made;
}

/** An icon as large as what is in it; the style centres it on its point. */
function icon(html: HTMLElement): DivIcon {
  return divIcon({ html, className: "map-icon", iconSize: undefined });
}

/** Of one device its state; of several the state that is to be looked at first, and how many they are. */
export function groupIcon({ devices }: MapGroup): DivIcon {
  const liveness = worst(devices);
  const mark = element("span", `map-mark ${liveness}`, LOOK[liveness].mark);
  if (devices.length > 1) mark.append(element("span", "map-count", String(devices.length)));
  return icon(mark);
}

export const placeIcon = (): DivIcon => icon(element("span", "map-place"));
export const lookIcon = (): DivIcon => icon(element("span", "map-look"));

/** The name of a mark, as a small text beside it. */
export const nameElement = (group: MapGroup): HTMLElement => element("span", "map-name", nameOf(group));

/** The devices behind one mark, to open one of them; Escape closes it. */
export function deviceList(devices: MapDevice[], open: (id: string) => void, close: () => void): HTMLElement {
  const list = element("ul", "map-devices");
  list.addEventListener("keydown", ({ key }) => {
    if (key === "Escape") close();
  });
  for (const { id, name, liveness } of devices) {
    const button = element("button", "", name) as HTMLButtonElement;
    button.type = "button";
    button.addEventListener("click", () => open(id));
    const state = element("span", liveness, ` ${LOOK[liveness].mark} ${LOOK[liveness].word}`);
    const item = element("li", "");
    item.append(button, state);
    list.append(item);
  }
  return list;
}
