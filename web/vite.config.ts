import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig } from "vitest/config";

export default defineConfig({
  plugins: [svelte()],
  // The control plane's Content-Security-Policy allows no inline script and no data: module.
  build: { target: "es2022", assetsInlineLimit: 0, modulePreload: { polyfill: false } },
  server: { proxy: { "/api": { target: process.env.ECEP_URL ?? "http://127.0.0.1:8080", changeOrigin: false } } },
  test: { include: ["test/**/*.test.ts"], environment: "happy-dom" },
  resolve: process.env.VITEST ? { conditions: ["browser"] } : {},
});
