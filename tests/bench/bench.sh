#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Runs the sections named (none: all), sets their figures in columns, marks
# each that has an aim met or short, and counts.  A figure never fails a run;
# a program that does not work does.
# usage: bench.sh [SECTION...]            run by `make bench`
set -eu
: "${srcdir:=$(dirname "$0")/../..}" "${builddir:=.}"
export srcdir builddir
here=$srcdir/tests/bench
pages=$builddir/bench-pages

case ${SANITIZER:-no} in
no) ;;
*)
  echo "This build has a sanitizer in it: its figures would mean nothing."
  exit 0
  ;;
esac

known=(store memory group nbd writeback pick recover hold fuse tag status)
sections=("$@")
if [ ${#sections[@]} -eq 0 ]; then
  sections=("${known[@]}")
fi
for section in "${sections[@]}"; do
  if ! [[ " ${known[*]} " == *" $section "* ]]; then
    echo "bench.sh: there is no section $section: there are ${known[*]}" >&2
    exit 1
  fi
done

# Seconds of CPU: of all programs of the machine, or of ours so far.
cpu_all () {
  awk -v tick="$(getconf CLK_TCK)" \
    '$1 == "cpu" { print ($2 + $3 + $4 + $7 + $8) / tick }' /proc/stat
}
cpu_ours () {
  # What has ended and been waited for; utime to cstime of this shell.
  awk -v tick="$(getconf CLK_TCK)" \
    '{ sub (/.*\) /, ""); print ($12 + $13 + $14 + $15) / tick }' /proc/$$/stat
}

version () {
  "$@" 2> /dev/null | head -n 1 || :
}
printf 'CPU:      %s, %s online\n' \
  "$(awk -F ': ' '/^model name/ { print $2; exit }' /proc/cpuinfo)" \
  "$(getconf _NPROCESSORS_ONLN)"
printf 'Memory:   %s\n' \
  "$(awk '/^MemTotal/ { printf "%.1f GiB", $2 / 1048576 }' /proc/meminfo)"
printf 'Kernel:   %s %s\n' "$(uname -sr)" "$(uname -m)"
printf 'Versions: %s, %s, %s\n' "$("$builddir/bench-store" -V)" \
  "$(version nbdkit --version)" "$(version fio --version)"
printf 'Load:     %s (1, 5, 15 minutes) before the start\n' \
  "$(cut -d ' ' -f 1-3 /proc/loadavg)"

if ! [ -e "$pages" ]; then
  echo 'Capturing pages of running programs, once for this build folder:'
  "$here/capture-pages.sh" "$pages"
else
  echo 'Pages, as captured before (remove bench-pages to do it again):'
  cat "$pages.txt"
fi

aims=0
met=0
start=$EPOCHREALTIME
others=$(echo "$(cpu_all) $(cpu_ours)" | awk '{ print $1 - $2 }')

# Set one line of a section in columns, and judge it if it is a figure.
show () {
  local kind name ours beside ratio limit note mark=
  # Not a tab as IFS: it would swallow empty fields.
  IFS=$'\x1f' read -r kind name ours beside ratio limit note \
    <<< "${1//$'\t'/$'\x1f'}"
  case $kind in
  heading)
    printf '\n%s\n' "$name"
    printf '  %-30s %12s  %-20s %8s %7s\n' '' tierswap beside ratio aim
    ;;
  figure)
    if [ "$limit" = - ]; then
      limit=
    else
      aims=$((aims + 1))
      if awk "BEGIN { exit !($ratio ${limit:0:2} ${limit:2}) }"; then
        mark=met
        met=$((met + 1))
      else
        mark=short
      fi
    fi
    printf '  %-30s %12s  %-20s %8s %7s %-5s %s\n' "$name" "$ours" \
      "$beside" "$ratio" "$limit" "$mark" "$note" | sed 's/ *$//'
    ;;
  *)
    printf '%s\n' "$1"
    ;;
  esac
}

run_section () {
  case $1 in
  store | group) "$builddir/bench-$1" "$pages" ;;
  *) "$here/bench-$1.sh" "$pages" ;;
  esac
  # The last line, which only a section that came to its end has.
  echo "end of $1"
}

failed=()
for section in "${sections[@]}"; do
  complete=no
  while IFS= read -r line; do
    if [ "$line" = "end of $section" ]; then
      complete=yes
    else
      show "$line"
    fi
  done < <(run_section "$section")
  wait $! || :
  if [ $complete = no ]; then
    failed+=("$section")
  fi
done

seconds=$(awk "BEGIN { print $EPOCHREALTIME - $start }")
others=$(echo "$(cpu_all) $(cpu_ours) $others $seconds $(getconf _NPROCESSORS_ONLN)" |
  awk '{ printf "%.0f", ($1 - $2 - $3) / ($4 * $5 + 0.01) * 100 }')
printf '\nOther programs of the machine took %s %% of its CPUs meanwhile.\n' \
  "$others"
printf '%d of %d aims met, in %.0f s.\n' "$met" "$aims" "$seconds"
if [ ${#failed[@]} -gt 0 ]; then
  echo "Not measured to the end: ${failed[*]}" >&2
  exit 1
fi
