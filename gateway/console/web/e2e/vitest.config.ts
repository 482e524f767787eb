import { defineConfig } from 'vitest/config';

// End to end: the real gateway, the real page, Debian's Chromium. One file after the other; each starts its own gateway.
export default defineConfig({
  test: {
    dir: 'e2e',
    include: ['**/*.e2e.ts'],
    fileParallelism: false,
    testTimeout: 120_000,
    hookTimeout: 120_000,
    retry: 2, // A browser on a busy machine: what fails three times is wrong.
  },
});
