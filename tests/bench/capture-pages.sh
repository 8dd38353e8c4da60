#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Prepares the workloads of capture-pages and captures their pages into FILE,
# with the counts beside it in FILE.txt.
# usage: capture-pages.sh FILE [PAGES]
set -eu
: "${builddir:=.}"
builddir=$(cd "$builddir" && pwd)
output=$(realpath -m "$1")
pages=${2:-49152}

scratch=$(mktemp -d "${TMPDIR:-/tmp}/tierswap-capture.XXXXXX")
trap 'rm -rf "$scratch" "$output.part"' EXIT
cd "$scratch"

# What the programs work on: what every Debian machine has.
cat /var/lib/dpkg/info/*.list > files
cp /var/lib/dpkg/status status
find /usr/include -name '*.h' -type f | LC_ALL=C sort > headers
head -c 20M files > few

# Each command does its work, then writes until it is stopped.
workload () {
  local name=$1 program=$2
  shift 2
  if command -v "$program" > /dev/null; then
    printf '%s\t%s\n' "$name" "$*" >> list
  else
    echo "$name: no $program here" >&2
  fi
}

cat > words.bash <<'PROGRAM'
declare -A count
while IFS= read -r line; do
  name=${line##*/}
  count[$name]=$((${count[$name]:-0} + 1))
  lines+=("$line")
done < <(head -n 60000 files)
printf '%s\n' "${lines[@]}"
PROGRAM
workload bash bash bash words.bash

cat > count.awk <<'PROGRAM'
{
  n = split ($0, part, "/")
  for (i = 2; i <= n; i++)
    seen[part[i]]++
  line[NR] = $0
}
END {
  for (word in seen)
    print word, seen[word]
}
PROGRAM
workload awk awk 'awk -f count.awk files'

cat > parse.pl <<'PROGRAM'
my (%package, %word);
open (my $status, '<', 'status');
local $/ = '';
while (<$status>) {
  my %field = /^(\S+): (.*)$/mg;
  $package{$field{Package}} = {%field, Words => [split]};
  $word{$_}{$field{Package}}++ for split;
}
print "$_\n" x 100 for sort keys %word;
PROGRAM
workload perl perl perl parse.pl

workload sort sort 'sort -r -S 64M few'

# Every field of every package, some ten times, as one document.
cat > status.jq <<'PROGRAM'
[ split ("\n\n")[] | split ("\n") | map (capture ("^(?<key>[A-Z][A-Za-z-]*): (?<value>.*)"))
  | {fields: from_entries, lines: map (.value | split (", ")), count: length} ]
  | [range (4)] as $copies | map (. as $package | $copies | map ($package + {copy: .}))
PROGRAM
if command -v jq > /dev/null; then
  jq -R -s -f status.jq status > status.json
  workload jq jq jq . status.json
fi

if command -v sqlite3 > /dev/null; then
  cat > files.sql <<'PROGRAM'
create table file (path text);
.separator "\t"
.import few file
create index by_path on file (path);
create table part as
  select rowid as id, path, length (path) as bytes,
         replace (path, rtrim (path, replace (path, '/', '')), '') as name
  from file;
create index by_name on part (name, bytes);
select * from part order by name;
PROGRAM
  workload sqlite sqlite3 "sqlite3 -batch -init files.sql :memory: .quit"
fi

# One source that includes what the C library has, with many functions.
{
  printf '#define _GNU_SOURCE\n'
  for header in assert ctype errno fcntl glob math netdb pthread pwd regex \
    search signal spawn stdio stdlib string time unistd wchar; do
    printf '#include <%s.h>\n' "$header"
  done
  for ((i = 0; i < 4000; i++)); do
    printf 'struct node%d { struct node%d *next; char name[%d]; long value; };\n' \
      "$i" "$i" $((i % 61 + 8))
    printf 'long walk%d (struct node%d *node, long least) {\n' "$i" "$i"
    printf '  long sum = 0;\n  for (; node; node = node->next)\n'
    printf '    if (node->value > least && strlen (node->name) > %d)\n' $((i % 7))
    printf '      sum += node->value * %d; else printf ("%%s\\n", node->name);\n' "$i"
    printf '  return sum;\n}\n'
  done
} > many.c
workload cc1 gcc "$(gcc -print-prog-name=cc1) -quiet -O2 -g \
  -imultiarch $(gcc -print-multiarch) many.c -o /dev/stdout"
if command -v g++ > /dev/null; then
  cat > standard.cc <<'PROGRAM'
#include <algorithm>
#include <filesystem>
#include <functional>
#include <iostream>
#include <map>
#include <random>
#include <regex>
#include <thread>
#include <unordered_map>
#include <vector>
static const std::regex word ("[a-z]+(_[a-z]+)*");
int
main ()
{
  std::map<std::string, std::vector<int> > lines;
  std::string line;
  for (int i = 0; std::getline (std::cin, line); i++)
    for (std::sregex_iterator at (line.begin (), line.end (), word), end;
         at != end; ++at)
      lines[at->str ()].push_back (i);
  for (const auto &entry : lines)
    std::cout << entry.first << ' ' << entry.second.size () << '\n';
}
PROGRAM
  workload cc1plus g++ "$(g++ -print-prog-name=cc1plus) -quiet -O2 -g -D_GNU_SOURCE \
    -imultiarch $(g++ -print-multiarch) standard.cc -o /dev/stdout"
fi

# Writes a pack with deltas of the headers, from a repository made here.
if command -v git > /dev/null; then
  git () { env -i PATH="$PATH" HOME="$scratch" git "$@"; }
  mkdir repository
  head -n 6000 headers | xargs -d '\n' cp --parents -t repository
  git -C repository init -q
  git -C repository add -A
  git -C repository -c user.name=bench -c user.email=bench@example.com \
    commit -q -m 'The headers of this machine'
  unset -f git
  workload git git \
    'git -C repository pack-objects --all --revs --stdout --threads=2 --window=20'
fi

cat > trees.py <<'PROGRAM'
import ast, glob, os, sys, tokenize
trees, names = {}, {}
directory = os.path.dirname (os.__file__)
for path in sorted (glob.glob (directory + '/*.py'))[:90]:
    with open (path, encoding='utf-8', errors='replace') as source:
        text = source.read ()
    try:
        trees[path] = ast.parse (text)
    except SyntaxError:
        continue
    for node in ast.walk (trees[path]):
        if isinstance (node, ast.Name):
            names.setdefault (node.id, []).append ((path, node.lineno))
sys.stdout.write ('\n'.join (sorted (names)) * 100)
PROGRAM
workload python-ast python3 python3 -I trees.py

cat > records.py <<'PROGRAM'
import collections, decimal, email, html, http.client, json, logging, sys
import unittest, xml.dom.minidom
packages, files = [], collections.defaultdict (list)
for paragraph in open ('status', errors='replace').read ().split ('\n\n'):
    packages.append (dict (email.message_from_string (paragraph).items ()))
for line in open ('few'):
    path = line.rstrip ().split ('/')
    files[path[-1]].append ({'path': path, 'depth': len (path),
                             'weight': len (line) / 3})
text = json.dumps (packages)
sys.stdout.write (text)
PROGRAM
workload python-records python3 python3 -I records.py

"$builddir/capture-pages" -n "$pages" -o "$output.part" list | tee "$output.txt"
mv "$output.part" "$output"
