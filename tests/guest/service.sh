#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# tierswap.service under systemd as it is installed: it starts in its sandbox, is
# swapped on, its FUSE tree is seen, a program finds every page right also when
# the supervisor was killed meanwhile, a server that was killed is replaced, and
# stopping it ends all of it. The same with all that the unit says may be added.
#   service.sh MEBIBYTES
. "$srcdir/tests/guest/functions.sh"
size=$1
control=/run/tierswap/control.sock

need systemctl systemd
need jq jq

# Installed: the command and the configuration where the unit has them, the
# plugin among nbdkit's.
folders=/run/installed
mkdir -p "$folders/bin" "$folders/etc/tierswap" "$folders/plugins"
cp "$builddir/tierswapctl" "$folders/bin/"
plugins=$(nbdkit --dump-config | sed -n 's/^plugindir=//p')
cp -a "$plugins/." "$folders/plugins/"
cp "$builddir/.libs/nbdkit-tierswap-plugin.so" "$folders/plugins/"
mount --bind "$folders/plugins" "$plugins"
cat > "$folders/etc/tierswap/tierswap.conf" <<END
size = "512M"
pool { limit = "$((size / 2))M" }
tier "fast" { prio = 1  codec = "lz4" }
END
# install_unit EXPRESSION...: for sed.
install_unit () {
  sed -e "s,@bindir@,$folders/bin,; s,@sysconfdir@,$folders/etc," "$@" \
    "$srcdir/conf/tierswap.service.in" > /run/units/tierswap.service
}
tree=/run/tree
mkdir "$tree"
grep -qw fuse /proc/filesystems || load_module fuse
install_unit -e "s,^    control=/run/tierswap/control.sock$,& fuse=$tree,"
mount -t tmpfs -o mode=755 none /var/lib
load_nbd

say "systemd has started"
wait_until 120 "systemd answers" systemctl list-units > /dev/null
systemctl --version | head -n 1

# The unit's main process and the server that it started, which is no child of it.
supervisor_pid () {
  systemctl show -P MainPID tierswap.service
}
server_pid () {
  pgrep -x nbdkit
}

# has PID NAME VALUE: a line of its status.
has () {
  local is
  is=$(sed -n "s/^$2:[[:space:]]*//p" "/proc/$1/status")
  say "process $1: $2 $is"
  [ "$is" = "$3" ] || fail "$2 of process $1 is $is and not $3"
}

start () {
  show systemctl start tierswap.service
  systemctl start tierswap.service || {
    systemctl status --no-pager -l tierswap.service || :
    dmesg | tail -n 20
    fail "the unit does not start"
  }
  systemctl is-active tierswap.service
}
start
is_swapped_on || fail "it is started, and $device is not swapped on"
ctl status
[ "$(stat -c '%a %u' "$control" /run/tierswap | paste -sd ' ')" = "600 0 700 0" ] \
  || fail "others may come to the sockets: $(stat -c '%a %u %n' "$control" /run/tierswap)"

[ "$(jq .device.page_size "$tree/stats.json")" = 4096 ] \
  || fail "the FUSE tree is not seen"

say "The sandbox"
# CAP_DAC_READ_SEARCH 2, IPC_LOCK 14, SYS_ADMIN 21, SYS_NICE 23,
# SYS_RESOURCE 24, PERFMON 38, BPF 39.
for pid in "$(supervisor_pid)" "$(server_pid)"; do
  has "$pid" CapBnd 000000c001a04004
  has "$pid" CapEff 000000c001a04004
  has "$pid" NoNewPrivs 1
  has "$pid" Seccomp 2
  check_protected "$pid"
  grep -Eq '^Max core file size +0 +0 ' "/proc/$pid/limits" \
    || fail "process $pid may leave a core dump"
done
# A kernel without BPF keeps nobody from devices.
if [ "$GUEST" = qemu ]; then
  for file in /dev/nbd1 /dev/kmsg; do
    (
      echo "$BASHPID" > "$cgroups$(systemctl show -P ControlGroup tierswap)/cgroup.procs"
      exec dd "if=$file" of=/dev/null bs=512 count=1 status=none
    ) 2> "/tmp/${file##*/}" || :
  done
  ! grep -q "not permitted" /tmp/nbd1 || fail "it does not reach the disk"
  grep -q "not permitted" /tmp/kmsg || fail "it reaches the kernel's messages"
fi

say "Swap"
make_cgroup held 4096
put () {
  start_in_cgroup held "$touch_pages" -k mixed -w "$waiting" "$size"
  wait_until 300 "the program waits" program_waits
  wait_until 300 "most is swapped out" swap_out_cgroup held $((size * 9 / 10))
}
put
server=$(server_pid)
pid=$(supervisor_pid)
show kill -KILL "the supervisor"
kill -KILL "$pid"
replaced () {
  [ "$(supervisor_pid)" != "$pid" ] && [ "$(supervisor_pid)" != 0 ] \
    && systemctl is-active --quiet tierswap.service
}
wait_until 120 "a killed supervisor is replaced" replaced
[ "$(server_pid)" = "$server" ] || fail "the server did not go on"
server=
rm "$waiting"
finish_program

no_server () {
  ! pgrep -x nbdkit > /dev/null
}

stop () {
  run systemctl stop tierswap.service
  ! is_swapped_on || fail "it is stopped and still swapped on"
  wait_until 60 "the server has ended too" no_server
}
say "Stopped, and started again with all that may be added"
stop
install_unit -e "s/^#\([A-Za-z]*=\)/\1/"
systemctl daemon-reload
start
is_swapped_on || fail "it is started again, and $device is not swapped on"
put
rm "$waiting"
finish_program
pid=$(server_pid)
kill -KILL "$pid"
replaced () {
  [ -n "$(server_pid)" ] && [ "$(server_pid)" != "$pid" ] && ctl status > /tmp/out
}
wait_until 120 "a killed server is replaced" replaced
stop
say "all as it should be"
