#!/usr/bin/env bash
# Sourced by the scripts beside it: what they may install, and how.

may_install() { [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; }

install() { # Debian packages
  [ "$#" = 0 ] && return
  echo "installing $*"
  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}
