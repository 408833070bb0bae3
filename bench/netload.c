/* What a network carries: bytes of one TCP connection, and new connections a second.
 *
 *   netload serve PORT                  takes connections until it is ended; a connection's bytes are read and forgotten
 *   netload flood ADDRESS PORT SECONDS  prints the megabits a second that one connection took
 *   netload connect ADDRESS PORT SECONDS  prints how many connections a second were made, one after another
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define CHUNK (1 << 17)

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static void *drain(void *argument)
{
	int connection = (int)(intptr_t)argument;
	char *buffer = malloc(CHUNK);
	while (buffer && recv(connection, buffer, CHUNK, 0) > 0)
		;
	free(buffer);
	close(connection);
	return NULL;
}

static void serve(int port)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(port)};
	int on = 1, listener = socket(AF_INET, SOCK_STREAM, 0);
	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	if (bind(listener, (struct sockaddr *)&at, sizeof at) || listen(listener, 4096))
		fail("listen");
	puts("ready");
	fflush(stdout);
	for (;;) {
		char first;
		int connection = accept(listener, NULL, NULL);
		if (connection < 0)
			continue;
		/* One that is closed or reset at once needs no thread. */
		ssize_t got = recv(connection, &first, 1, MSG_PEEK | MSG_DONTWAIT);
		pthread_t thread;
		if (got == 0 || pthread_create(&thread, NULL, drain, (void *)(intptr_t)connection))
			close(connection);
		else
			pthread_detach(thread);
	}
}

static int reach(const struct sockaddr_in *to)
{
	int made = socket(AF_INET, SOCK_STREAM, 0);
	if (made < 0 || connect(made, (const struct sockaddr *)to, sizeof *to))
		fail("connect");
	return made;
}

int main(int count, char **words)
{
	if (count == 3 && !strcmp(words[1], "serve"))
		serve(atoi(words[2]));
	if (count != 5)
		return 2;
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(atoi(words[3]))};
	inet_pton(AF_INET, words[2], &to.sin_addr);
	double seconds = atof(words[4]), began = now(), done = 0;
	if (!strcmp(words[1], "flood")) {
		char *buffer = calloc(1, CHUNK);
		int made = reach(&to);
		while (now() - began < seconds) {
			ssize_t sent = send(made, buffer, CHUNK, 0);
			if (sent < 0)
				fail("send");
			done += sent;
		}
		printf("%f\n", done * 8 / 1e6 / (now() - began));
	} else {
		/* Reset, not closed: nothing is left waiting that would use up the ports. */
		struct linger reset = {.l_onoff = 1, .l_linger = 0};
		while (now() - began < seconds) {
			int made = reach(&to);
			setsockopt(made, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
			close(made);
			done++;
		}
		printf("%f\n", done / (now() - began));
	}
	return 0;
}
