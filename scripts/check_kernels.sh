#!/usr/bin/env bash
# Compiles every kernel for a card with nvcc, for all storages of values and the widths of heads that
# models have, and says what registers and memory each takes that doesn't stay in registers.
#
#   scripts/check_kernels.sh [ARCHITECTURE…]        # by default sm_80 (A100), sm_90 (H100, H200), sm_100 (B200)
#
# Needs nvcc (CUDA 12 or 13) on the path; no card and no driver.
set -euo pipefail
cd "$(dirname "$0")/../core/src/nn/kernels/cuda"
architectures=("$@")
[ ${#architectures[@]} -gt 0 ] || architectures=(sm_80 sm_90 sm_100)
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT

compile() { # architecture file storage head
  local log="$out/$1-$2-$3-$4"
  if ! nvcc -x cu -arch="$1" -DSTORAGE="$3" -DHEAD="$4" -include prelude.cuh -Xptxas -v -cubin -o "$log.cubin" "$2" \
    >"$log" 2>&1; then
    echo "FAILED: $2, STORAGE $3, HEAD $4, $1" && cat "$log" && return 1
  fi
  if grep -qE 'warning|[1-9][0-9]* bytes spill' "$log"; then
    echo "NOTE: $2, STORAGE $3, HEAD $4, $1" && grep -E 'warning|Compiling|spill' "$log"
  fi
  rm -f "$log.cubin"
}
export -f compile
export out

jobs() {
  local file storage head
  for architecture in "${architectures[@]}"; do
    for file in *.cu; do
      for storage in 0 1 2; do
        case $file in
          # Of 16 bits alone.
          cast.cu | attention_tensor.cu) [ "$storage" -gt 0 ] || continue ;;
        esac
        case $file in
          attention.cu) heads="16 64 128 256" ;;
          attention_tensor.cu) heads="16 32 64 80 96 128" ;;
          *) heads=0 ;;
        esac
        for head in $heads; do echo "$architecture $file $storage $head"; done
      done
    done
  done
}

count=$(jobs | wc -l)
jobs | xargs -P "${JOBS:-$(nproc)}" -L 1 bash -c 'compile "$@"' _
echo "$count kernels' files compiled: ${architectures[*]}"
