/* Sends so many UDP datagrams as fast as they go: flood ADDRESS PORT COUNT SIZE; prints the packets a second. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#define BATCH 64

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

int main(int argc, char **argv) {
    if (argc != 5) return 2;
    long left = atol(argv[3]), count = left;
    size_t size = (size_t)atol(argv[4]);
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((unsigned short)atoi(argv[2]))};
    inet_pton(AF_INET, argv[1], &to.sin_addr);
    int out = socket(AF_INET, SOCK_DGRAM, 0);
    char *data = calloc(1, size);
    struct iovec vector = {data, size};
    struct mmsghdr messages[BATCH];
    memset(messages, 0, sizeof messages);
    for (int i = 0; i < BATCH; i++)
        messages[i].msg_hdr = (struct msghdr){&to, sizeof to, &vector, 1, NULL, 0, 0};
    double began = now();
    while (left > 0) {
        int sent = sendmmsg(out, messages, left < BATCH ? (unsigned)left : BATCH, 0);
        if (sent > 0) left -= sent;
    }
    printf("%f\n", count / (now() - began));
    return 0;
}
