import react from '@vitejs/plugin-react';
import { defineConfig } from 'vite';

// The page lies at /console/ and is embedded in the gateway, so that dist is committed: what is built from the same
// sources and package-lock.json is the same, byte for byte.
export default defineConfig({
  base: '/console/',
  plugins: [react()],
  html: { cspNonce: 'CSP_NONCE' }, // The gateway puts a fresh one into each answer.
  build: {
    outDir: '../dist',
    emptyOutDir: true,
    target: 'es2022',
    manifest: 'manifest.json',
    modulePreload: { polyfill: false },
    rolldownOptions: { input: { console: 'index.html', docs: 'docs.html' } },
    assetsInlineLimit: 0, // The policy of the page allows no data: URLs but images.
    chunkSizeWarningLimit: 600,
  },
  server: { proxy: { '^/(graphql|auth|dev|v1|admin|openapi.json)': { target: 'http://127.0.0.1:8080', ws: true } } },
});
