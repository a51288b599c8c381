/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs inside a test guest, statically linked: takes frames from stdin, each behind two bytes of
 * length (big endian), and sends them out of the named device as they are.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/socket.h>
#include <time.h>

int main(int argc, char **argv)
{
	struct sockaddr_ll to = { .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL) };
	int fd = socket(AF_PACKET, SOCK_RAW, 0);
	unsigned sent = 0, refused = 0;
	unsigned char head[2];
	static char frame[UINT16_MAX];

	if (argc != 2 || fd < 0 || !(to.sll_ifindex = (int)if_nametoindex(argv[1]))) {
		perror("guest_send");
		return 1;
	}
	while (fread(head, sizeof(head), 1, stdin) == 1) {
		size_t n = (size_t)(head[0] << 8 | head[1]);
		ssize_t rc;

		if (fread(frame, 1, n, stdin) != n)
			return 1;
		while ((rc = sendto(fd, frame, n, 0, (struct sockaddr *)&to, sizeof(to))) < 0 &&
		       (errno == ENOBUFS || errno == EAGAIN))
			nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL); /* queue full */
		/* A device refuses what is shorter than a head or longer than its MTU. */
		if (rc < 0)
			refused++;
		else
			sent++;
	}
	printf("sent=%u refused=%u\n", sent, refused);
	return 0;
}
