# SPDX-License-Identifier: BSD-3-Clause
# Completion of tierswapctl for bash.  The names of attributes, tiers and
# backings come from the server, if it runs and may be asked.

# _tierswapctl_attributes: of the server that the words name.
_tierswapctl_attributes ()
{
  timeout 2 "${COMP_WORDS[0]}" "${_tierswapctl_server[@]}" get 2>/dev/null </dev/null
}

# _tierswapctl_offer WORD...: those that begin with what is there already.
_tierswapctl_offer ()
{
  local word
  for word; do
    [[ $word != "$cur"* ]] || COMPREPLY+=("$word")
  done
  # What ends with = is not done yet.
  [[ ${COMPREPLY[0]-} != *= ]] || compopt -o nospace 2>/dev/null
}

# The names of attributes; with an argument, of those that match.
_tierswapctl_offer_attributes ()
{
  local line names=()
  while IFS= read -r line; do
    names+=("${line%% = *}")
  done < <(_tierswapctl_attributes | grep -E "${1-}")
  _tierswapctl_offer "${names[@]}"
}

# _tierswapctl_offer_objects KIND: the names of tiers or backings.
_tierswapctl_offer_objects ()
{
  local line names=()
  while IFS= read -r line; do
    names+=("$line")
  done < <(_tierswapctl_attributes | sed -n "s/^$1\.\(.*\)\.prio = .*/\1/p")
  _tierswapctl_offer "${names[@]}"
}

_tierswapctl_offer_cgroups ()
{
  local root=${TIERSWAP_CGROUPS-/sys/fs/cgroup} folder names=(/)
  for folder in "$root${cur%/*}"/*/; do
    [ ! -d "$folder" ] || folder=${folder#"$root"} names+=("${folder%/}")
  done
  _tierswapctl_offer "${names[@]}"
  compopt -o nospace 2>/dev/null
}

_tierswapctl_offer_disks ()
{
  local disk disks=()
  for disk in /dev/nbd[0-9]*; do
    [[ ! $disk =~ ^/dev/nbd[0-9]+$ ]] || disks+=("$disk")
  done
  _tierswapctl_offer "${disks[@]}"
}

_tierswapctl_offer_files ()
{
  compopt -o filenames 2>/dev/null
  mapfile -t COMPREPLY < <(compgen -f -- "$cur")
}

_tierswapctl ()
{
  # As typed up to the cursor; bash may have split words at = and :.
  local line=${COMP_LINE:0:COMP_POINT} cur key command='' i words
  local _tierswapctl_server=()
  COMPREPLY=()
  read -ra words <<<"$line"
  [[ $line != *[[:space:]] ]] || words+=('')
  cur=${words[-1]}

  # What stands before the command.
  for ((i = 1; i < ${#words[@]} - 1; i++)); do
    case ${words[i]} in
      -s | --socket) _tierswapctl_server=(-s "${words[++i]-}") ;;
      --socket=*) _tierswapctl_server=(-s "${words[i]#*=}") ;;
      -*) ;;
      *)
        command=${words[i]}
        break
        ;;
    esac
  done

  case $command in
    '')
      case ${words[-2]-} in
        -s | --socket) _tierswapctl_offer_files ;;
        *)
          case $cur in
            -*) _tierswapctl_offer --socket= --help --version ;;
            *)
              _tierswapctl_offer status get set cgroup reload compact \
                writeback drain top metrics attach detach reconnect supervise \
                watch unwatch
              ;;
          esac
          ;;
      esac
      ;;
    status) _tierswapctl_offer --json ;;
    get) _tierswapctl_offer_attributes ;;
    set)
      ((i + 1 != ${#words[@]} - 1)) ||
        _tierswapctl_offer_attributes \
          '^(pool\.limit|tier\..*\.(limit|level|demote_age)|backing\..*\.(size|promote)|writeback\.(high|low|age|limit)|cgroup\..*\.(prio|writeback_prio|writeback_size)) '
      ;;
    cgroup)
      if ((i + 1 == ${#words[@]} - 1)); then
        _tierswapctl_offer_cgroups
      else
        _tierswapctl_offer prio= writeback_prio= writeback_size=
      fi
      ;;
    writeback)
      key=${cur%%=*}
      case $cur in
        tier=* | cgroup=*)
          cur=${cur#*=}
          case $key in
            tier) _tierswapctl_offer_objects tier ;;
            *) _tierswapctl_offer_cgroups ;;
          esac
          # Where bash splits at =, it replaces only what stands after it.
          [[ $COMP_WORDBREAKS = *=* ]] || COMPREPLY=("${COMPREPLY[@]/#/$key=}")
          ;;
        *) _tierswapctl_offer age= size= cgroup= tier= max= ;;
      esac
      ;;
    drain)
      _tierswapctl_offer --no-wait
      _tierswapctl_offer_objects backing
      ;;
    top) _tierswapctl_offer -b -n -d ;;
    attach | detach | reconnect | supervise | watch | unwatch)
      if ((i + 1 == ${#words[@]} - 1)); then
        _tierswapctl_offer_disks
      elif [[ $cur = socket=* ]]; then
        key=${cur%%=*}
        cur=${cur#*=}
        _tierswapctl_offer_files
        [[ $COMP_WORDBREAKS = *=* ]] || COMPREPLY=("${COMPREPLY[@]/#/$key=}")
      else
        case $command in
          attach)
            _tierswapctl_offer priority= connections= socket= timeout= patience=
            ;;
          supervise)
            _tierswapctl_offer priority= connections= socket= timeout= \
              patience= wait= --
            ;;
          detach) _tierswapctl_offer wait= --force ;;
          reconnect) _tierswapctl_offer socket= timeout= patience= ;;
        esac
      fi
      ;;
  esac
}

complete -F _tierswapctl tierswapctl
