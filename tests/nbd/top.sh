#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# tierswapctl top: as text, and on terminals of several sizes.
. "${srcdir:-.}/tests/nbd/functions.sh"
. "$srcdir/tests/nbd/control.sh"
need nbdcopy libnbd-bin
need python3 python3

cat >"$tmp/conf" <<END
size = "64M"
tier "fast" { prio = 1  codec = "lz4"  limit = "16M" }
tier "a-tier-with-a-very-long-name" { prio = 2  codec = "zstd"  level = 1 }
backing "ssd" { prio = 1  path = "$tmp/ssd"  size = "32M" }
END
serve_control "$tmp/conf"
seq 1000000 3000000 | head -c 4M >"$tmp/pages" || :
timeout $limit nbdcopy "$tmp/pages" "$(uri server)"

# As text: the first time without rates, then with them.
control top -b -n 2 -d 0.5 >"$tmp/top" </dev/null
expect "times" "$(grep -c ^tierswap "$tmp/top")" 2
expect "the first rates" "$(grep -c '^pages/s    - read, - written' "$tmp/top")" 1
expect "the rates" "$(grep -Ec '^pages/s +[0-9]+ read, [0-9]+ written' "$tmp/top")" 1
grep -Eq '^fast +lz4 +1 +0 +4.0 MiB' "$tmp/top" || fail "no tier"
grep -Eq '^\.\.\.with-a-very-long-name|^\.\.\.[a-z-]+-name +zstd' "$tmp/top" ||
  fail "no tier with a long name"
grep -Eq '^ssd +online +1 +0 B' "$tmp/top" || fail "no backing"
grep -Eq '^/ +1 +1 +[0-9.]+ MiB' "$tmp/top" || fail "no cgroup"
expect "lines with more than 80 columns" \
  "$(awk 'length > 80' "$tmp/top" | wc -l)" 0
# Who reads only the first lines does not make it fail loudly.
(control top -b -d 0.1 || :) 2>"$tmp/err" | head -n 1 >"$tmp/out"
expect "what is said to a closed pipe" "$(cat "$tmp/err")" ""

refuses "is not taken here" top -x
refuses "-n takes how many times" top -n
refuses "-n takes how many times" top -b -n 0
refuses "-d takes seconds" top -b -d 0
refuses "-d takes seconds" top -b -d soon

# terminal TYPE LINES COLUMNS [LINES COLUMNS]: show it on such a terminal,
# change its size, press q.
terminal ()
{
  timeout $limit python3 - "$tierswapctl" "$tmp/control" "$@" <<'END'
import fcntl, os, pty, select, signal, struct, sys, termios
program, socket, term = sys.argv[1:4]
sizes = [(int(a), int(b)) for a, b in zip(sys.argv[4::2], sys.argv[5::2])]

def resize(fd, size):
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack('HHHH', *size, 0, 0))

pid, fd = pty.fork()
if pid == 0:
    resize(0, sizes[0])
    os.environ['TERM'] = term
    for name in ('LINES', 'COLUMNS'):
        os.environ.pop(name, None)
    os.execv(program, [program, '-s', socket, 'top', '-d', '1'])
text = b''

def read():
    global text
    try:
        more = os.read(fd, 65536)
    except OSError:
        more = b''
    text += more
    return more

def read_until(word):
    global text
    while word not in text:
        if not read():
            break
    found = word in text
    if not found:
        sys.stdout.buffer.write(text)
        os.waitpid(pid, 0)
        sys.exit('%s did not come' % word)
    text = b''

read_until(b'stored in')
for size in sizes[1:]:
    resize(fd, size)
    # All is drawn anew; its first line is what fits on any terminal.
    read_until(b'tierswap')
os.write(fd, b'q')
while read():
    pass
status = os.waitpid(pid, 0)[1]
sys.exit(os.waitstatus_to_exitcode(status))
END
}
terminal xterm 24 80 || fail "xterm: $?"
terminal xterm 24 80 10 40 50 132 3 20 || fail "resizing: $?"
terminal linux 25 80 || fail "linux: $?"
if terminal no-such-terminal 24 80 >"$tmp/out" 2>&1; then
  fail "a terminal that is not known was accepted"
fi
grep -q 'is not known here' "$tmp/out" || fail "it says: $(cat "$tmp/out")"
refuses "there is no terminal" top

stop $server
refuses "no server listens there" top -b
