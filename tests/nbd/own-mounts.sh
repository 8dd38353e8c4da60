# SPDX-License-Identifier: BSD-3-Clause
# Runs the test that sources it, before functions.sh, with mounts of its own.

if [ -z "${TIERSWAP_TEST_INSIDE-}" ]; then
  # Mounts of its own; and a name space of users, where it is not root.
  export TIERSWAP_TEST_INSIDE=yes
  how=(unshare --mount)
  if [ "$(id -u)" -ne 0 ]; then
    how=(unshare --user --map-root-user --mount)
  fi
  if ! "${how[@]}" true 2>/dev/null; then
    echo "$(basename "$0"): skipped: no name space of mounts can be made here"
    exit 77
  fi
  exec "${how[@]}" "$0" "$@"
fi

# mount_memory: $tmp/memory, where a state may be.
mount_memory ()
{
  mkdir "$tmp/memory"
  mount -t ramfs -o mode=0700 none "$tmp/memory" 2>/dev/null ||
    skip "ramfs cannot be mounted here"
  undo ()
  {
    umount "$tmp/memory" 2>/dev/null || :
  }
}
