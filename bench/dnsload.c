/* Asks one name of one DNS server by UDP, with a fixed number of questions under way, and prints the answers a second.
 *
 *   dnsload ADDRESS NAME WINDOW SECONDS
 *
 * A question that is not answered within 200 ms is lost, and a whole window is sent anew. */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>

static size_t question(unsigned char *out, char *name)
{
	static const unsigned char header[12] = { 0x12, 0x34, 1, 0, 0, 1 };
	size_t size = sizeof header;

	memcpy(out, header, sizeof header);
	for (char *label = strtok(name, "."); label; label = strtok(NULL, ".")) {
		size_t length = strlen(label);
		out[size++] = length;
		memcpy(out + size, label, length);
		size += length;
	}
	memcpy(out + size, "\0\0\1\0\1", 5); /* the root, A, IN */
	return size + 5;
}

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
	if (argc != 5 || strlen(argv[2]) > 250) {
		fprintf(stderr, "usage: dnsload ADDRESS NAME WINDOW SECONDS\n");
		return 2;
	}
	unsigned char query[300], reply[4096];
	size_t size = question(query, argv[2]);
	int window = atoi(argv[3]), missing = window;
	double seconds = atof(argv[4]);
	struct sockaddr_in server = { .sin_family = AF_INET, .sin_port = htons(53) };
	struct timeval patience = { .tv_usec = 200000 };
	int sock = socket(AF_INET, SOCK_DGRAM, 0);

	if (!inet_aton(argv[1], &server.sin_addr) || connect(sock, (struct sockaddr *)&server, sizeof server) ||
	    setsockopt(sock, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience)) {
		perror(argv[1]);
		return 1;
	}
	long answers = 0;
	double began = now();
	while (now() - began < seconds) {
		for (; missing; missing--)
			send(sock, query, size, 0);
		if (recv(sock, reply, sizeof reply, 0) < 12) {
			missing = window;
		} else if ((reply[3] & 15) || !(reply[6] | reply[7])) {
			fprintf(stderr, "%s: no address in the answer\n", argv[1]);
			return 1;
		} else {
			answers++;
			missing = 1;
		}
	}
	printf("%.0f\n", answers / (now() - began));
	return 0;
}
