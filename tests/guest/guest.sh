# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=dash
#
# What the test guest's init and its helpers share: facts, modules, the seed, YAML, network, user data.
TAB=$(printf '\t')
. /lib/modules/order
loaded=

tell() {
	local up
	read -r up _ </proc/uptime
	printf '\r%s up=%s\n' "$*" "$up" >/dev/console
	echo "$* up=$up" >>/run/www/facts
}
fact() { tell SF-FACT "$@"; }
event() { tell SF-EVENT "$@"; }

load() {
	local m
	for m in $1; do
		case " $loaded " in
		*" $m "*) ;;
		*) insmod "/lib/modules/$m.ko" 2>/dev/null && loaded="$loaded $m" ;;
		esac
	done
}

pci_load() {
	local v d c
	read -r v <"$1/vendor" && read -r d <"$1/device" && read -r c <"$1/class" || return
	case $v$d in
	0x1af40x1000 | 0x1af40x1041) load "$mod_virtio $mod_net" ;;
	0x1af40x1001 | 0x1af40x1042) load "$mod_virtio $mod_block" ;;
	0x1af40x1004 | 0x1af40x1048) load "$mod_virtio $mod_scsi" ;;
	0x1af40x1003 | 0x1af40x1043) load "$mod_virtio $mod_console" ;;
	0x1af40x1005 | 0x1af40x1044) load "$mod_virtio $mod_rng" ;;
	0x1af40x1002 | 0x1af40x1045) load "$mod_virtio $mod_balloon" ;;
	0x80860x7010) load "$mod_ide" ;;
	esac
	case $c in 0x010802) load "$mod_nvme" ;; esac
}

# disk_fact WORD [TOPIC] NAME
disk_fact() {
	local word=SF-FACT topic name sectors ro serial
	[ "$1" = -event ] && word=SF-EVENT && shift
	topic=$1 name=$2
	read -r sectors 2>/dev/null <"/sys/block/$name/size" || return
	read -r ro <"/sys/block/$name/ro"
	read -r serial 2>/dev/null <"/sys/block/$name/serial" || serial=none
	tell $word "$topic" "$name" "bytes=$((sectors * 512))" "ro=$ro" "serial=$serial"
}

# ---- seed ------------------------------------------------------------------------------------------------------

# The first disk whose ISO 9660 label is cidata; three tries, disks come late.
seed_read() {
	local try dev label file
	seed_dev=none
	for try in 1 2 3; do
		for dev in /sys/block/*; do
			dev=${dev##*/}
			case $dev in loop* | ram*) continue ;; esac
			label=$(dd if="/dev/$dev" bs=1 skip=32808 count=6 2>/dev/null)
			case $label in cidata | CIDATA) ;; *) continue ;; esac
			load "$mod_iso"
			mount -t iso9660 -o ro "/dev/$dev" /mnt || continue
			for file in meta-data user-data network-config vendor-data; do
				[ -e /mnt/$file ] && cat /mnt/$file >/run/seed/$file
			done
			umount /mnt
			seed_dev=$dev
			return
		done
		sleep 0.2
	done
}

# Prints "path<TAB>value" for every scalar of a YAML or JSON file, path as .ethernets.eth0.addresses.0; values keep
# the escapes \n \t \\ (printf %b decodes them). libfyaml reads, as in the product; awk only walks its events.
yaml_flat() {
	fy-tool --testsuite "$1" 2>/dev/null | awk '
		function path() { return depth == 0 ? "" : base[depth] "." (seq[depth] ? n[depth] : key[depth]) }
		function next_item() { if (seq[depth]) n[depth]++; else have[depth] = 0 }
		/^\+(MAP|SEQ)/ { p = path(); depth++; base[depth] = p; seq[depth] = /^\+SEQ/; n[depth] = 0; have[depth] = 0; next }
		/^-(MAP|SEQ)/ { depth--; next_item(); next }
		/^=VAL/ {
			v = substr($0, 6)
			while (v ~ /^[&<]/) sub(/^[^ ]* /, "", v)
			v = substr(v, 2)
			if (depth > 0 && !seq[depth] && !have[depth]) { key[depth] = v; have[depth] = 1; next }
			print path() "\t" v
			next_item()
		}'
}

# ---- network ---------------------------------------------------------------------------------------------------

# Prints what network-config says about one NIC, "key<TAB>value", after finding its entry by MAC or by name.
nic_config() {
	local nic=$1 mac=$2 key value id found=
	[ -s /run/seed/net ] || return 1
	while IFS=$TAB read -r key value; do
		key=${key#.network} key=${key#.ethernets.}
		case $key in *.match.macaddress)
			[ "$(echo "$value" | tr A-F a-f)" = "$mac" ] && found=${key%.match.macaddress} ;;
		esac
	done </run/seed/net
	id=${found:-$nic}
	sed -n "s/^\(\.network\)\{0,1\}\.ethernets\.$id\.//p" /run/seed/net
}

nic_up() {
	local nic=$1 mac mtu key value dhcp4=false dhcp6=false config=none name via
	local addresses='' gateways='' dns='' search=''
	read -r mac <"/sys/class/net/$nic/address"
	if nic_config "$nic" "$mac" >"/run/net/$nic"; then
		config=seed
		while IFS=$TAB read -r key value; do
			case $key in
			set-name) name=$value ;;
			dhcp4) dhcp4=$value ;;
			dhcp6) dhcp6=$value ;;
			mtu) mtu=$value ;;
			addresses.*) addresses="$addresses $value" ;;
			gateway4 | gateway6) gateways="$gateways $value" ;;
			routes.*.via) gateways="$gateways $value" ;;
			nameservers.addresses.*) dns="$dns $value" ;;
			nameservers.search.*) search="$search $value" ;;
			esac
		done <"/run/net/$nic"
	else
		dhcp4=true
	fi
	[ -n "$name" ] && [ "$name" != "$nic" ] && ip link set "$nic" name "$name" 2>/dev/null && {
		mv "/run/net/$nic.waits" "/run/net/$name.waits"
		nic=$name
	}
	echo 0 >"/proc/sys/net/ipv6/conf/$nic/accept_dad"
	[ -n "$mtu" ] && ip link set "$nic" mtu "$mtu"
	ip link set "$nic" up
	read -r mtu <"/sys/class/net/$nic/mtu"
	fact nic "$nic" "mac=$mac" "mtu=$mtu" "config=$config" "dhcp4=$dhcp4" "dhcp6=$dhcp6"
	for value in $addresses; do
		ip addr add "$value" dev "$nic" && fact addr "$nic" "addr=$value" via=static
	done
	for via in $gateways; do
		case $via in *:*) ip -6 route add default via "$via" dev "$nic" ;; *) ip route add default via "$via" dev "$nic" ;; esac
	done
	resolv "$nic" "$dns" "$search"
	case $dhcp4 in true | yes)
		: >"/run/bound/$nic.4.wanted"
		udhcpc -i "$nic" -f -R -t 5 -T 2 -A 3 -x "hostname:$(hostname)" -O mtu -O search -O staticroutes \
			-s /bin/dhcp-script >/dev/null 2>&1 &
		;;
	esac
	case $dhcp6 in true | yes)
		: >"/run/bound/$nic.6.wanted"
		{
			until grep -q "^fe80.* $nic\$" /proc/net/if_inet6; do sleep 0.05; done # it gives up without one
			exec dhclient -6 -d -q -D LL -cf /dev/null -lf "/run/net/$nic.leases6" -pf "/run/net/$nic.pid6" \
				-sf /bin/dhcp-script "$nic" >/dev/null 2>&1
		} &
		;;
	esac
	rm -f "/run/net/$nic.waits"
}

nics_bound() {
	local f
	for f in /run/net/*.waits; do [ -e "$f" ] && return 1; done
	for f in /run/bound/*.wanted; do
		[ -e "$f" ] && ! [ -e "${f%.wanted}" ] && return 1
	done
	return 0
}

# One file per NIC and family; /etc/resolv.conf is all of them.
resolv() {
	local f=/run/dns/$1 a
	{
		for a in $2; do echo "nameserver $a"; done
		[ -n "$3" ] && echo "search $3"
	} >"$f"
	cat /run/dns/* >/etc/resolv.conf 2>/dev/null
}

# ---- user data -------------------------------------------------------------------------------------------------

# bootcmd, write_files, runcmd: each runcmd item is a string for sh or an argv list.
cloud_config() {
	local key value path='' item=''
	while IFS=$TAB read -r key value; do
		case $key in
		.write_files.*.path) path=$value ;;
		esac
		case $key in
		.write_files.*.content | .write_files.*.permissions | .write_files.*.path)
			item=${key#.write_files.} && item=${item%%.*}
			printf '%b' "$value" >"/run/seed/wf.$item.${key##*.}"
			;;
		esac
	done </run/seed/user
	for path in /run/seed/wf.*.path; do
		[ -e "$path" ] || continue
		item=${path%.path}
		path=$(cat "$path")
		mkdir -p "${path%/*}"
		cat "$item.content" >"$path"
		[ -e "$item.permissions" ] && chmod "$(cat "$item.permissions")" "$path"
	done
	for key in bootcmd runcmd; do
		awk -F '\t' -v want=".$key." '
			index($1, want) == 1 {
				split(substr($1, length(want) + 1), at, ".")
				v = $2
				gsub(/\047/, "\047\\\\\047\047", v)
				if (at[2] == "") { print at[1] "\tsh\t" $2; next }
				argv[at[1]] = argv[at[1]] " \047" v "\047"
				last = at[1]
			}
			END { for (i in argv) print i "\targv\t" argv[i] }' /run/seed/user | sort -n >"/run/seed/$key"
		while IFS=$TAB read -r item _ value; do
			printf '%b\n' "$value" >/run/seed/cmd
			sh /run/seed/cmd </dev/null
			fact user-data "$key" "item=$item" "rc=$?"
		done <"/run/seed/$key"
	done
}
