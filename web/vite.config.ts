import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { svelte } from "@sveltejs/vite-plugin-svelte";
import type { Plugin } from "vite";
import { defineConfig } from "vitest/config";

/** Beside each text its gzip, which the control plane sends to who takes it. */
const gzipped: Plugin = {
  name: "gzipped",
  apply: "build",
  writeBundle({ dir = "dist" }, bundle) {
    for (const file of Object.values(bundle)) {
      if (!/\.(js|css|html|json|svg)$/.test(file.fileName)) continue;
      const small = gzipSync(file.type === "chunk" ? file.code : file.source, { level: 9 });
      writeFileSync(join(dir, `${file.fileName}.gz`), small);
    }
  },
};

export default defineConfig({
  plugins: [svelte(), gzipped],
  // The control plane's Content-Security-Policy allows no inline script and no data: module.
  build: { target: "es2022", assetsInlineLimit: 0, modulePreload: { polyfill: false } },
  server: { proxy: { "/api": { target: process.env.ECEP_URL ?? "http://127.0.0.1:8080", changeOrigin: false } } },
  // The limits only end what hangs: a busy machine may take seconds for what is read and compiled at first.
  test: { include: ["test/**/*.test.ts"], environment: "happy-dom", testTimeout: 90_000, hookTimeout: 90_000 },
  resolve: process.env.VITEST ? { conditions: ["browser"] } : {},
});
