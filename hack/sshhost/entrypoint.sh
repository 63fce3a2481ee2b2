#!/bin/sh
# Starts sshd on port 22, with its log on standard error. Mount a Secret at /etc/rollcall-host; all its keys are optional:
#
#   ssh_host_ed25519_key  the host's private key; a new one is made if it is missing
#   authorized_keys       public keys that may log in, as any of the users below
#   password              of the users below, but root
#   root_password         of `root`
#
# Without a password, nobody can log in with one. The users differ in how they may become another:
#
#   root
#   ops       sudo and doas without a password
#   deploy    sudo and doas with its password
#   plain     as ops, but sudo gives its commands no terminal
#   guest     not by sudo or doas, and so only by su
#   console   sudo with its password and su, both only at a terminal
#   headless  sudo at a terminal and doas, with its password, but sshd gives it no terminal
#
# The container runs as root and needs the capabilities that container runtimes give by default.
set -eu

given=/etc/rollcall-host
used=/run/rollcall-host

# sshd wants its key readable by root only, which a mounted Secret is not.
umask 077
mkdir -p "$used" /run/sshd
if [ -s "$given/ssh_host_ed25519_key" ]; then
    cat "$given/ssh_host_ed25519_key" > "$used/ssh_host_ed25519_key"
else
    ssh-keygen -q -t ed25519 -N '' -C '' -f "$used/ssh_host_ed25519_key"
fi
if [ -s "$given/authorized_keys" ]; then
    cat "$given/authorized_keys" > "$used/authorized_keys"
else
    : > "$used/authorized_keys"
fi
# sshd reads this file with the rights of the user who logs in.
chmod 755 "$used" /run/sshd
chmod 644 "$used/authorized_keys"

{
    if [ -s "$given/password" ]; then
        for user in ops deploy plain guest console headless; do
            printf '%s:%s\n' "$user" "$(cat "$given/password")"
        done
    fi
    if [ -s "$given/root_password" ]; then
        printf 'root:%s\n' "$(cat "$given/root_password")"
    fi
} | chpasswd

# With umask 077, scripts would make files that only their user can read.
umask 022
exec /usr/sbin/sshd -D -e
