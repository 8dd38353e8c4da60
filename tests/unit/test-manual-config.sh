#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# What tierswap.conf(5) and conf/tierswap.conf show is what the server takes:
# each example parses, each option is described and has an example, and the
# defaults are as written.
set -euo pipefail

srcdir=${srcdir:-$(cd "$(dirname "$0")/../.." && pwd)}
builddir=${builddir:-$PWD}
manual=$srcdir/conf/tierswap.conf.pod
example=$srcdir/conf/tierswap.conf
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
failures=0

fail () {
  echo "$*"
  failures=$((failures + 1))
}

parse () {
  "$builddir/tests/unit/parse-config" "$1"
}

# Each paragraph that is indented is an example, but for commands.
extract_examples () {
  awk -v folder="$folder" '
    function finish () {
      if (block != "" && block !~ /^ \$ /) {
        file = sprintf ("%s/example-%03d-line-%d", folder, ++count, begin)
        printf "%s", block > file
        close (file)
      }
      block = ""
    }
    /^ / { if (block == "") begin = NR; block = block $0 "\n"; next }
    { finish () }
    END { finish () }' "$manual"
}

# The options that the server knows in a section, or at the top: it lists them
# when it is given one that it does not know.
list_options () {
  local titled=''
  case $1 in
  tier | backing) titled=x ;;
  cgroup) titled=/x ;;
  esac
  if [ "$1" = top ]; then
    echo 'unknown = 1' > "$folder/unknown"
  else
    echo "$1 $titled { unknown = 1 }" > "$folder/unknown"
  fi
  { parse "$folder/unknown" 2>&1 || true; } |
    sed -n 's/.* has the options \(.*\)/\1/p' | sed 's/,\| and / /g'
}

# The text of the manual about a section.
describe () {
  awk -v section="$1" '
    /^=head/ { inside = ($2 == section || (section == "top" && /The device/)) }
    inside' "$manual"
}

check_option () {
  describe "$1" | awk -v option="$2" '
    /^=item B</ { item = ($2 == "B<" option ">"); found += item }
    item && /^ / && $0 ~ ("(^|[ {])" option " = ") { shown = 1 }
    END { exit !(found == 1 && shown) }' ||
    fail "tierswap.conf(5): $2 of $1 is not described with an example"
  grep -Eq "^#? *#?$2 = " "$example" ||
    fail "conf/tierswap.conf: $2 of $1 has no line"
}

extract_examples
count=0
for file in "$folder"/example-*; do
  parse "$file" > "$file.parsed" || fail "tierswap.conf(5): $(cat "$file")"
  count=$((count + 1))
done
[ "$count" -ge 25 ] || fail "tierswap.conf(5): only $count examples are found"

for section in top pool tier backing writeback cgroup; do
  options=$(list_options "$section")
  [ -n "$options" ] || fail "no options of $section are listed"
  for option in $options; do
    case $option in
    pool | tier | backing | writeback | cgroup) ;;
    *) check_option "$section" "$option" ;;
    esac
  done
done

# The second example is said to be what an empty file comes to.
: > "$folder/empty"
parse "$folder/empty" > "$folder/empty.parsed"
cmp -s "$folder/empty.parsed" "$folder"/example-002-*.parsed ||
  fail "tierswap.conf(5): the defaults are not those of the server:" \
    "$(diff "$folder/empty.parsed" "$folder"/example-002-*.parsed)"

# The example file as it is, and with all that it comments out.
parse "$example" > "$folder/as-it-is" || fail "$example"
sed 's/^\( *\)#\([^ #]\|  \)/\1\2/' "$example" > "$folder/uncommented"
parse "$folder/uncommented" > "$folder/all" || fail "$example, uncommented"
! cmp -s "$folder/as-it-is" "$folder/all" ||
  fail "$example: nothing is commented out"
[ "$(grep -c '^backing' "$folder/all")" -eq 2 ] ||
  fail "$example, uncommented: there are not two backings"

[ "$failures" -eq 0 ] || exit 1
echo "$count examples"
