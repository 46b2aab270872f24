#!/bin/sh
# Make the tree that the look-alike images begin with: base.sh DIRECTORY SUITE MIRROR
# Certificates that this machine trusts beyond the usual ones are trusted in it, too: a network that inspects
# what leaves it needs them, and elsewhere there are none.
set -eu
debootstrap --variant=minbase --include=ca-certificates "$2" "$1" "$3" >"$1.log" 2>&1 || {
    tail -n 20 "$1.log" >&2
    exit 1
}
if ls /usr/local/share/ca-certificates/*.crt >/dev/null 2>&1; then
    cp /usr/local/share/ca-certificates/*.crt "$1/usr/local/share/ca-certificates/"
    chroot "$1" update-ca-certificates >>"$1.log" 2>&1
fi
rm -rf "$1"/var/cache/apt/archives/*.deb
