# SPDX-License-Identifier: MIT
# Copyright (c) 2026 The cubbyfs authors
#
# bash completion for cubby(1). Needs nothing but bash itself.

_cubby()
{
	local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}
	local commands='get set del ls ttl incr update cas lock unlock watch stats check compact'
	local options

	COMPREPLY=()
	if ((COMP_CWORD == 1)); then
		mapfile -t COMPREPLY < <(compgen -W "$commands --help --version" -- "$current")
		return
	fi

	case ${COMP_WORDS[1]} in
	get) options='--json --no-newline -n' ;;
	set) options='--ttl --action --if-absent --if-revision --file --parents -p' ;;
	del) options='--recursive -r' ;;
	ls) options='--long --recursive --null --json -l -R -0' ;;
	ttl) options='--remove --json' ;;
	incr) options='--print -p' ;;
	lock) options='--ttl --wait --nonblock --conflict-exit-code --kill-after --status --json -t -w -n -E' ;;
	unlock) options='--token' ;;
	watch) options='--since --if --exec --jobs --once --timeout --dir' ;;
	stats | check | compact) options='--json' ;;
	update | cas) options= ;;
	*) return ;;
	esac

	case $previous in
	--ttl | --timeout | --wait | --kill-after | -t | -w)
		mapfile -t COMPREPLY < <(compgen -W '30 10m 1h 1d' -- "$current")
		return
		;;
	--action | --if-revision | --since | --if | --jobs | --token | --conflict-exit-code | -E)
		return
		;;
	--exec)
		mapfile -t COMPREPLY < <(compgen -c -- "$current")
		return
		;;
	--dir)
		compopt -o filenames 2>/dev/null
		mapfile -t COMPREPLY < <(compgen -d -- "$current")
		return
		;;
	esac

	if [[ $current == -* ]]; then
		mapfile -t COMPREPLY < <(compgen -W "$options --help" -- "$current")
		return
	fi

	compopt -o filenames 2>/dev/null
	case ${COMP_WORDS[1]} in
	check | compact | stats)
		mapfile -t COMPREPLY < <(compgen -d -- "$current")
		;;
	*)
		mapfile -t COMPREPLY < <(compgen -f -- "$current")
		;;
	esac
}

complete -F _cubby cubby
