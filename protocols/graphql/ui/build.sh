#!/bin/sh
# Builds the page under dist from the packages that package-lock.json pins. Needs Node 20 or later and npm.
# Run it after a change to app.jsx, page.css or the versions; dist is committed, so the gateway itself needs none of this.
set -eu
cd "$(dirname "$0")"
npm ci --ignore-scripts --no-audit --no-fund
rm -rf dist
npx --no-install esbuild app.jsx --bundle --minify --format=esm --target=es2022 --jsx=automatic \
  --define:process.env.NODE_ENV='"production"' --legal-comments=linked --charset=utf8 \
  --loader:.woff2=dataurl --outfile=dist/app.js
cp index.html dist/index.html
node licenses.mjs > dist/LICENSES.txt
