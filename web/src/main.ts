// The entry: mounts the application.
import { mount } from "svelte";
import "./style/tokens.css";
import "./style/base.css";
import App from "./App.svelte";
import { keepKeyboard } from "./ui/keyboard";

const target = document.getElementById("app");
if (target) {
  keepKeyboard(target);
  mount(App, { target });
}
