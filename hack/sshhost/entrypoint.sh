#!/bin/sh
# Starts sshd on port 22, with its log on standard error. Mount a Secret at /etc/rollcall-host; all its keys are optional:
#
#   ssh_host_ed25519_key  the host's private key; a new one is made if it is missing
#   authorized_keys       public keys that may log in, as any of the users below
#   password              of the users `ops` and `deploy`
#   root_password         of `root`
#
# Without a password, nobody can log in with one. `ops` may use sudo and doas without a password, `deploy` with one.
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
        printf 'ops:%s\ndeploy:%s\n' "$(cat "$given/password")" "$(cat "$given/password")"
    fi
    if [ -s "$given/root_password" ]; then
        printf 'root:%s\n' "$(cat "$given/root_password")"
    fi
} | chpasswd

exec /usr/sbin/sshd -D -e
