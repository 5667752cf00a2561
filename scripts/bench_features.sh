#!/bin/sh
# Training the projector alone (experiments/mini/frozen.ron): samples/s without the cache of frozen features, with
# it from empty, and with it full; three rounds in turn. Needs: cargo.
set -e
cd "$(dirname "$0")/.."
cargo build -q --release
out=$(mktemp -d)
trap 'rm -r "$out"' EXIT
lab() {
    cargo run -q --release -- run experiments/mini/frozen.ron --force --out "$out/$2" --set "stages.projector.feature_cache=$1" 2>&1 |
        sed -n "s/.* in \(.*\) s (\([0-9]*\) samples\/s).*/$3: \2 samples\/s/p"
}
for round in 1 2 3; do
    lab Off "$round" "no cache"
    lab F32 "$round" "empty cache"
    lab F32 "$round" "full cache"
done
