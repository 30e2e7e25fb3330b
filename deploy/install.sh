#!/bin/sh
# Puts the compiled registry into a folder, with its production dependencies and the Node of package.json: all that a machine needs to run
# it, so that the folder can be carried to one without a network. To be called in a checkout after "npm ci":
#   deploy/install.sh /opt/ai-model-registry
set -eu
cd "$(dirname "$0")/.."
target=${1:?usage: deploy/install.sh FOLDER}
case $target in /*) ;; *) echo "the folder must be an absolute path" >&2; exit 2 ;; esac

npm run --silent build
mkdir -p "$target/bin"
cp package.json package-lock.json LICENSE README.md "$target/"
rm -rf "$target/dist" "$target/deploy"
cp -R dist deploy "$target/"
(cd "$target" && npm ci --omit=dev --ignore-scripts --no-audit --no-fund --silent)

# The platform's own package of Node, whose hash is in the lock file.
for node in "$target"/node_modules/node-*/bin/node; do
  ln -sfn "../${node#"$target/"}" "$target/bin/node"
done
for program in ai-model-registry:main.js securectl:cli/main.js; do
  # By where it lies itself, so that the folder may be carried anywhere and the program linked.
  printf '#!/bin/sh\nhome=$(dirname "$(dirname "$(readlink -f "$0")")")\nexec "$home/bin/node" --disable-sigusr1 "$home/dist/%s" "$@"\n' \
    "${program#*:}" > "$target/bin/${program%%:*}"
  chmod 755 "$target/bin/${program%%:*}"
done
"$target/bin/ai-model-registry" --version
