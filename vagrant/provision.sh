#!/bin/bash
# Make a Debian machine ready for `netsim up`: packages, environment, and the two commands in everyone's
# PATH. Safe to run again.
#
#   provision.sh [CHECKOUT]     CHECKOUT is /opt/netsim if it is not given
set -euo pipefail

readonly CHECKOUT=${1:-/opt/netsim}

main() {
    [[ $UID -eq 0 ]] || die "needs root; run it as: sudo $0"
    [[ -f $CHECKOUT/Makefile ]] || die "there is no netsim in $CHECKOUT"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -q
    apt-get install -y -q --no-install-recommends git make python3 python3-venv
    "$CHECKOUT/scripts/setup" run
    install_commands
    "$CHECKOUT/.venv/bin/netsim" doctor
    echo "provision: ready; type: sudo netsim up"
}

install_commands() {
    local program shell
    for program in netsim kubectl; do
        ln -sf "$CHECKOUT/.venv/bin/$program" "/usr/local/bin/$program"
    done
    shell=/etc/bash_completion.d
    mkdir -p "$shell"
    /usr/local/bin/netsim completion bash >"$shell/netsim"
    /usr/local/bin/kubectl completion bash >"$shell/kubectl"
}

die() {
    echo "provision: error: $*" >&2
    exit 1
}

main
