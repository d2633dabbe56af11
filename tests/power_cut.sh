#!/usr/bin/env bash
# Does what was answered survive a power cut? Each round puts the state and the health log on an
# ext4 file system in an image file, runs the daemon under load against the simulated providers, and
# at a random moment copies the image as it is, without a sync: that is what a disk would hold if
# the power went then. A daemon on the copy must start and agree with the copy's log. The rounds are
# in tests/power_cut/rounds.py; here is what they need, and the cleaning up.
#
# tests/power_cut.sh [ROUNDS], 5 of them if not given. The daemon is $FALLBACKD, or else
# target/debug/fallbackd, which is built first. It needs root and loop mounts; without them nothing
# is checked, and a line "SKIP: ..." says so. With POWER_CUT_KEEP=FOLDER the image of a failed round
# is kept there. Exit 0: all is well or skipped. Exit 1: it is not.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$PATH:/usr/sbin:/sbin"

rounds=${1:-5}
build=${CARGO_TARGET_DIR:-target}

[ "$(id -u)" = 0 ] || { echo "SKIP: not root, so nothing can be mounted"; exit 0; }
for program in python3 mkfs.ext4 mount umount timeout; do
    command -v "$program" > /dev/null || { echo "SKIP: no $program"; exit 0; }
done

work=$(mktemp -d)
mkdir "$work/disk"

# What a round could not end itself: its processes, by the ids it left here, and its mount.
clean() {
    local pid
    if [ -e "$work/pids" ]; then
        while read -r pid; do kill -9 "$pid" 2> /dev/null || true; done < "$work/pids"
    fi
    if mountpoint -q "$work/disk"; then
        umount "$work/disk" || umount -l "$work/disk" || true
    fi
    rm -rf --one-file-system "$work"
}
trap clean EXIT
trap 'exit 1' INT TERM HUP

# Containers often have root and mkfs, but no loop devices.
truncate -s 8M "$work/try"
if ! { mkfs.ext4 -q -F "$work/try" && mount -o loop "$work/try" "$work/disk"; } 2> "$work/why"; then
    echo "SKIP: no file system can be mounted from an image here: $(tr '\n' ' ' < "$work/why")"
    exit 0
fi
umount "$work/disk"
rm "$work/try"

cargo build --example simulate
if [ -z "${FALLBACKD:-}" ]; then
    cargo build --bin fallbackd
    FALLBACKD=$build/debug/fallbackd
fi

# A proxy of the machine must not come between. Half a minute is ten times what a round takes.
timeout "$((30 + 30 * rounds))" env -u HTTP_PROXY -u HTTPS_PROXY -u ALL_PROXY -u http_proxy \
    -u https_proxy -u all_proxy python3 tests/power_cut/rounds.py --daemon "$FALLBACKD" \
    --simulate "$build/debug/examples/simulate" --work "$work" --rounds "$rounds"
