#!/bin/bash
# Finds Apptainer, or sets it up without touching the system's own libraries, and prints the path of the command to use:
# a small wrapper that knows what this machine's kernel allows. Says what it does on stderr.
#
# An apptainer on PATH is used as it is. Otherwise, on Debian and its derivatives, the package is taken from Debian's
# unstable suite, unpacked into a folder of its own, and made to use the C library that comes with it.
# CCIP_APPTAINER_DIR names that folder; by default build/apptainer in the checkout, or, where root's checkout lies in a
# folder that is closed to others, /var/tmp/ccip-apptainer, so that the jobs of ordinary users can run it too.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { echo "apptainer: $*" >&2; }

# Whether everybody may pass through all folders above this one.
open_to_all() {
    local folder
    folder=$(realpath -m "$1")
    while [ "$folder" != / ]; do
        folder=$(dirname "$folder")
        [ $((0$(stat -c %a "$folder" 2>/dev/null || echo 777) & 1)) = 1 ] || return 1
    done
}

default_prefix() {
    if [ "$(id -u)" = 0 ] && ! open_to_all "$PWD/build"; then
        echo /var/tmp/ccip-apptainer
    else
        echo "$PWD/build/apptainer"
    fi
}

# Installs the host's programs that Apptainer calls, those that are missing.
host_packages() {
    local missing=()
    command -v mksquashfs >/dev/null || missing+=(squashfs-tools)
    command -v squashfuse >/dev/null || missing+=(squashfuse)
    command -v fusermount3 >/dev/null || missing+=(fuse3)
    command -v newuidmap >/dev/null || missing+=(uidmap)
    command -v fakeroot >/dev/null || missing+=(fakeroot)
    if [ "$1" = unpack ]; then
        command -v mmdebstrap >/dev/null || missing+=(mmdebstrap)
        command -v patchelf >/dev/null || missing+=(patchelf)
    fi
    [ ${#missing[@]} -gt 0 ] || return 0
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        say "installing ${missing[*]}"
        { apt-get -q update && DEBIAN_FRONTEND=noninteractive apt-get -qy install --no-install-recommends "${missing[@]}"; } >&2
    elif command -v mksquashfs >/dev/null && [ "$1" = use ]; then
        say "not installed here, Apptainer may miss them: ${missing[*]}"
    else
        say "please install: ${missing[*]}"
        return 1
    fi
}

# Unpacks Debian's apptainer into the folder $1.
unpack() {
    local root=$1 program
    command -v apt-get >/dev/null || {
        say "not found on PATH, and this is no Debian: install Apptainer 1.2 or later, then try again."
        return 1
    }
    host_packages unpack
    say "unpacking Debian's package into $root"
    rm -rf "$root.part" "$root"
    # The index of unstable may be past its Valid-Until; its signature is checked all the same.
    mmdebstrap --quiet --variant=extract --include=apptainer --aptopt='Acquire::Check-Valid-Until "false"' \
        sid "$root.part" >&2
    chmod 755 "$root.part"
    mv "$root.part" "$root"
    for program in usr/bin/apptainer usr/lib/x86_64-linux-gnu/apptainer/bin/starter; do
        patchelf --set-interpreter "$root/usr/lib64/ld-linux-x86-64.so.2" \
            --force-rpath --set-rpath "$root/usr/lib/x86_64-linux-gnu" "$root/$program"
    done
    ln -sfn ../etc "$root/usr/etc"
    ln -sfn ../var "$root/usr/var"
    ln -sfn ../../etc "$root/usr/lib/etc"
    ln -sfn ../../var "$root/usr/lib/var"
}

prefix=${CCIP_APPTAINER_DIR:-$(default_prefix)}
mkdir -p "$prefix"
prefix=$(realpath "$prefix")
if [ ! -O "$prefix" ]; then
    say "$prefix belongs to somebody else; name another folder in CCIP_APPTAINER_DIR."
    exit 1
fi
exec 9>"$prefix/lock"
flock 9 # two at once: the second waits, and then finds everything done

program=$(command -v apptainer || true)
if [ -n "$program" ]; then
    host_packages use
else
    program="$prefix/debian/usr/bin/apptainer"
    # A folder that was moved has programs that name its old place: they do not start, and it is made again.
    if ! "$program" --version >/dev/null 2>&1; then
        unpack "$prefix/debian"
        "$program" --version >&2
    fi
fi

cat >"$prefix/ccip-apptainer.part" <<WRAPPER
#!/bin/bash
# Calls Apptainer the way that works with what this machine allows. Written by container/setup_apptainer.sh.
if [ "\$(id -u)" = 0 ]; then
    # In a container or virtual machine root may lack CAP_SYS_RESOURCE; Apptainer must not ask for it then.
    bounding=0x\$(sed -n 's/^CapBnd:[[:space:]]*//p' /proc/self/status)
    [ \$(( bounding >> 24 & 1 )) = 1 ] || export APPTAINER_DROP_CAPS=\${APPTAINER_DROP_CAPS:-CAP_SYS_RESOURCE}
elif ! { [ -r /dev/fuse ] && [ -w /dev/fuse ]; }; then
    # An ordinary user mounts an image through FUSE; without it the image is unpacked into a folder at each start.
    export APPTAINER_UNSQUASH=\${APPTAINER_UNSQUASH:-1}
fi
exec $(printf %q "$program") "\$@"
WRAPPER
chmod 755 "$prefix/ccip-apptainer.part"
mv "$prefix/ccip-apptainer.part" "$prefix/ccip-apptainer"
echo "$prefix/ccip-apptainer"
