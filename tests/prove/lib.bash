# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# What the rigs of tests/prove share. hack/prove gives TOP, BUILD and PROVE_ROWS, the file that takes the rows.

: "${TOP:?run by hack/prove}" "${BUILD:?}" "${PROVE_ROWS:?}"

# row FIGURE MEASURED OF GOAL RESULT: a line of the table; RESULT 0 is a pass, as with an exit code.
row() {
	local verdict=FAIL
	[ "$5" -ne 0 ] || verdict=pass
	printf '%s\t%s\t%s\t%s\t%s\n' "$1" "$2" "$3" "$4" "$verdict" | tee -a "$PROVE_ROWS"
}

# all_of FIGURE GOOD TOTAL LEAST: every one of them is good, and there are at least so many.
all_of() {
	local rc=1
	[ "$2" -eq "$3" ] && [ "$3" -ge "$4" ] && rc=0
	row "$1" "$2" "$3" "all, of $4 or more" $rc
}

# none_of FIGURE BAD TOTAL LEAST: none of them is bad, and at least so many were tried.
none_of() {
	local rc=1
	[ "$2" -eq 0 ] && [ "$3" -ge "$4" ] && rc=0
	row "$1" "$2" "$3" "0, in $4 or more" $rc
}
