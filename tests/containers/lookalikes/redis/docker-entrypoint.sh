#!/bin/sh
set -e
case "$1" in -* | *.conf) set -- redis-server "$@" ;; esac
if [ "$1" = redis-server ] && [ "$(id -u)" = 0 ]; then
    find . \! -user redis -exec chown redis '{}' +
    exec setpriv --reuid=redis --regid=redis --clear-groups -- "$0" "$@"
fi
[ "$(umask)" = 0022 ] && umask 0077
# The official image's own server has this built in; without it a server without a password refuses others.
if [ "$1" = redis-server ]; then
    shift
    config=""
    case "${1:-}" in *.conf)
        config=$1
        shift
        ;;
    esac
    exec redis-server ${config:+"$config"} --protected-mode no "$@"
fi
exec "$@"
