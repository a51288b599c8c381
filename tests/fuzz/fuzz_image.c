/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The header check of images: it comes back with a word for every file, and a size within bounds
 * for those it takes.
 */
#include <sys/mman.h>
#include <unistd.h>

#include "driver/image/header.h"
#include "fuzz.h"

#define VIRTUAL_MAX (1ULL << 40)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_(error_done) Error err = ERROR_INIT;
	_cleanup_(fd_closep) int fd = memfd_create("image", MFD_CLOEXEC);
	ImageHeader h = { 0 }, own = { 0 };

	FUZZ_REQUIRE(fd >= 0 && write(fd, data, size) == (ssize_t)size);
	if (image_header_check(fd, VIRTUAL_MAX, &h, &err) == 0)
		FUZZ_REQUIRE(h.virtual_size <= VIRTUAL_MAX && h.file_size == size);
	else
		FUZZ_REQUIRE(*error_message(&err));
	if (qcow2_header_read(fd, &own, NULL) == 0)
		FUZZ_REQUIRE(strlen(own.backing) < sizeof(own.backing));
	return 0;
}
