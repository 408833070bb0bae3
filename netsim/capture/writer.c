/* Copies what packet rings hold to one pcapng stream, in the order of time.
 *
 *   writer OUTPUT HEADER BLOCK_SIZE BLOCKS TIMEOUT_MS COUNT SECONDS ALONE SOCKET...
 *
 * All but the numbers are descriptors that the parent has opened: OUTPUT to write to, HEADER with the section header
 * and one interface description for each SOCKET, which has a TPACKET_V3 ring of BLOCKS blocks. Prints "ready" on
 * standard error once it hears signals. Ends after COUNT packets or SECONDS (0: never), on SIGTERM or SIGINT, when
 * nobody reads OUTPUT any more or, unless ALONE is 1, standard error. Then it appends statistics of each interface,
 * and prints a line for each: packets that passed the filter, that the kernel dropped, and that were written. The
 * blocks are those of draft-ietf-opsawg-pcapng.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BUFFER (1 << 20)
#define LARGEST ((1 << 18) + 256)
#define SECOND 1000000000ull
#define ENHANCED_PACKET 6u
#define STATISTICS 5u

struct ring {
    int socket;
    uint8_t *map;
    unsigned block;
    struct tpacket3_hdr *next; /* NULL while the kernel has the block */
    uint32_t left;
    uint64_t passed, dropped, written;
};

static volatile sig_atomic_t stopping;
static uint8_t buffer[BUFFER];
static size_t filled;
static int output;
static unsigned block_size, blocks;

static void stop(int number) { (void)number; stopping = 1; }

static void fail(const char *what) {
    fprintf(stderr, "error %s: %s\n", what, strerror(errno));
    exit(1);
}

static uint64_t now(void) {
    struct timespec time;
    clock_gettime(CLOCK_REALTIME, &time);
    return (uint64_t)time.tv_sec * SECOND + (uint64_t)time.tv_nsec;
}

/* Returns 0 when nobody reads any more. */
static int flush(void) {
    size_t done = 0;
    while (done < filled) {
        ssize_t some = write(output, buffer + done, filled - done);
        if (some < 0 && errno == EINTR) continue;
        if (some < 0 && errno == EPIPE) return 0;
        if (some < 0) fail("write");
        done += (size_t)some;
    }
    filled = 0;
    return 1;
}

static void put(const void *data, size_t size) {
    memcpy(buffer + filled, data, size);
    filled += size;
}

static void put32(uint32_t value) { put(&value, 4); }

static void put_option(uint16_t code, const void *data, uint16_t size) {
    put(&code, 2);
    put(&size, 2);
    put(data, size);
}

static uint64_t time_of(const struct tpacket3_hdr *packet) { return packet->tp_sec * SECOND + packet->tp_nsec; }

static struct tpacket_block_desc *block_of(struct ring *ring) {
    return (struct tpacket_block_desc *)(ring->map + (size_t)ring->block * block_size);
}

/* Whether the ring has a packet for us; takes over the next block if the kernel has let go of it. */
static int ready(struct ring *ring) {
    while (ring->next == NULL) {
        struct tpacket_block_desc *block = block_of(ring);
        if (!(__atomic_load_n(&block->hdr.bh1.block_status, __ATOMIC_ACQUIRE) & TP_STATUS_USER)) return 0;
        ring->left = block->hdr.bh1.num_pkts;
        if (ring->left) {
            ring->next = (struct tpacket3_hdr *)((uint8_t *)block + block->hdr.bh1.offset_to_first_pkt);
            return 1;
        }
        __atomic_store_n(&block->hdr.bh1.block_status, TP_STATUS_KERNEL, __ATOMIC_RELEASE);
        ring->block = (ring->block + 1) % blocks;
    }
    return 1;
}

static void advance(struct ring *ring) {
    if (--ring->left) {
        ring->next = (struct tpacket3_hdr *)((uint8_t *)ring->next + ring->next->tp_next_offset);
        return;
    }
    ring->next = NULL;
    __atomic_store_n(&block_of(ring)->hdr.bh1.block_status, TP_STATUS_KERNEL, __ATOMIC_RELEASE);
    ring->block = (ring->block + 1) % blocks;
}

static uint32_t sum(uint32_t total, const uint8_t *data, size_t size) {
    for (; size > 1; data += 2, size -= 2) total += (uint32_t)data[0] << 8 | data[1];
    if (size) total += (uint32_t)data[0] << 8;
    return total;
}

static void complete_transport(uint8_t protocol, uint32_t pseudo, uint8_t *data, size_t size);

/* Completes the checksum of TCP or UDP in an Ethernet frame. */
static void complete(uint8_t *frame, size_t size) {
    size_t offset = 12;
    while (offset + 4 <= size && (frame[offset] << 8 | frame[offset + 1]) == 0x8100) offset += 4;
    if (offset + 2 > size) return;
    unsigned kind = (unsigned)(frame[offset] << 8 | frame[offset + 1]);
    uint8_t *ip = frame + offset + 2;
    size -= offset + 2;
    if (kind == 0x0800 && size >= 20) {
        size_t header = (size_t)(ip[0] & 15) * 4, total = (size_t)(ip[2] << 8 | ip[3]);
        if (header < 20 || total < header || total > size || (ip[6] & 0x3f) || ip[7]) return;
        uint32_t pseudo = sum(0, ip + 12, 8) + ip[9] + (uint32_t)(total - header);
        complete_transport(ip[9], pseudo, ip + header, total - header);
    } else if (kind == 0x86dd && size >= 40) {
        size_t length = (size_t)(ip[4] << 8 | ip[5]);
        if (40 + length > size) return;
        complete_transport(ip[6], sum(0, ip + 8, 32) + ip[6] + (uint32_t)length, ip + 40, length);
    }
}

static void complete_transport(uint8_t protocol, uint32_t pseudo, uint8_t *data, size_t size) {
    size_t place = protocol == IPPROTO_TCP ? 16 : 6;
    if ((protocol != IPPROTO_TCP && protocol != IPPROTO_UDP) || size < place + 2) return;
    unsigned port = (unsigned)(data[2] << 8 | data[3]);
    if (protocol == IPPROTO_UDP && (port == 4789 || port == 8472)) {
        /* What the kernel has left open is inside the VXLAN packet. */
        if (size > 16) complete(data + 16, size - 16);
        return;
    }
    data[place] = data[place + 1] = 0;
    uint32_t total = sum(pseudo, data, size);
    while (total >> 16) total = (total & 0xffff) + (total >> 16);
    uint16_t value = (uint16_t)~total;
    if (protocol == IPPROTO_UDP && value == 0) value = 0xffff;
    data[place] = (uint8_t)(value >> 8);
    data[place + 1] = (uint8_t)value;
}

static void put_packet(uint32_t interface, struct tpacket3_hdr *packet) {
    const uint8_t *data = (uint8_t *)packet + packet->tp_mac;
    const struct sockaddr_ll *address =
        (struct sockaddr_ll *)((uint8_t *)packet + TPACKET_ALIGN(sizeof(struct tpacket3_hdr)));
    size_t size = packet->tp_snaplen;
    /* The kernel keeps a VLAN tag beside the frame. */
    size_t tag = (packet->tp_status & TP_STATUS_VLAN_VALID) && size >= 12 ? 4 : 0;
    uint32_t kept = (uint32_t)(size + tag), padded = (kept + 3) & ~3u, length = 32 + padded + 12;
    uint64_t time = time_of(packet);
    put32(ENHANCED_PACKET);
    put32(length);
    put32(interface);
    put32((uint32_t)(time >> 32));
    put32((uint32_t)time);
    put32(kept);
    put32(packet->tp_len + (uint32_t)tag);
    uint8_t *frame = buffer + filled;
    if (tag) {
        uint16_t kind = packet->tp_status & TP_STATUS_VLAN_TPID_VALID ? packet->hv1.tp_vlan_tpid : 0x8100;
        uint16_t words[2] = {htons(kind), htons((uint16_t)packet->hv1.tp_vlan_tci)};
        put(data, 12);
        put(words, 4);
        put(data + 12, size - 12);
    } else {
        put(data, size);
    }
    if ((packet->tp_status & TP_STATUS_CSUMNOTREADY) && size == packet->tp_len) complete(frame, kept);
    memset(buffer + filled, 0, padded - kept);
    filled += padded - kept;
    /* Direction, and for whom: unicast, multicast, broadcast, or others' (epb_flags). */
    static const uint32_t flags[] = {
        [PACKET_HOST] = 1 | 1 << 2,
        [PACKET_BROADCAST] = 1 | 3 << 2,
        [PACKET_MULTICAST] = 1 | 2 << 2,
        [PACKET_OTHERHOST] = 1 | 4 << 2,
        [PACKET_OUTGOING] = 2,
    };
    put_option(2, &flags[address->sll_pkttype <= PACKET_OUTGOING ? address->sll_pkttype : PACKET_HOST], 4);
    put32(0);
    put32(length);
}

static void count(struct ring *ring) {
    struct tpacket_stats_v3 stats;
    socklen_t size = sizeof stats;
    if (getsockopt(ring->socket, SOL_PACKET, PACKET_STATISTICS, &stats, &size) == 0) {
        ring->dropped += stats.tp_drops;
    }
    /* What came after the end is neither. */
    ring->passed = ring->written + ring->dropped;
}

static void put_statistics(uint32_t interface, const struct ring *ring) {
    uint64_t time = now();
    uint32_t length = 24 + 3 * 12 + 4;
    put32(STATISTICS);
    put32(length);
    put32(interface);
    put32((uint32_t)(time >> 32));
    put32((uint32_t)time);
    put_option(4, &ring->passed, 8);
    put_option(5, &ring->dropped, 8);
    put_option(8, &ring->written, 8);
    put32(0);
    put32(length);
}

/* The ring whose next packet is the earliest of all, or NULL if an earlier one may still come. */
static struct ring *earliest(struct ring *rings, unsigned number, uint64_t settled) {
    struct ring *first = NULL;
    int waiting = 0;
    for (unsigned i = 0; i < number; i++) {
        if (!ready(&rings[i])) waiting = 1;
        else if (first == NULL || time_of(rings[i].next) < time_of(first->next)) first = &rings[i];
    }
    if (first != NULL && waiting && time_of(first->next) > settled) return NULL;
    return first;
}

static int copy_header(int header) {
    ssize_t some;
    while ((some = read(header, buffer, BUFFER)) > 0) {
        filled = (size_t)some;
        if (!flush()) return 0;
    }
    return 1;
}

int main(int argc, char **argv) {
    if (argc < 10) return 2;
    output = atoi(argv[1]);
    block_size = (unsigned)atoi(argv[3]);
    blocks = (unsigned)atoi(argv[4]);
    int timeout = atoi(argv[5]);
    uint64_t most = strtoull(argv[6], NULL, 10), total = 0, end = UINT64_MAX;
    unsigned number = (unsigned)argc - 9;
    struct sigaction action = {.sa_handler = stop};
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGALRM, &action, NULL);
    signal(SIGPIPE, SIG_IGN);

    struct ring *rings = calloc(number, sizeof *rings);
    struct pollfd *polls = calloc(number + 1, sizeof *polls), *starter = &polls[number];
    for (unsigned i = 0; i < number; i++) {
        rings[i].socket = atoi(argv[9 + i]);
        polls[i].events = POLLIN;
        rings[i].map = mmap(NULL, (size_t)block_size * blocks, PROT_READ | PROT_WRITE, MAP_SHARED, rings[i].socket, 0);
        if (rings[i].map == MAP_FAILED) fail("map a packet ring");
    }
    /* Whoever has started it holds the other end of its standard error until that has ended too, however it did. */
    starter->fd = atoi(argv[8]) ? -1 : STDERR_FILENO;
    alarm((unsigned)atoi(argv[7]));
    fputs("ready\n", stderr);
    int open = copy_header(atoi(argv[2]));
    /* Until this long after a packet has come its block may not be ours yet. */
    uint64_t settling = (uint64_t)timeout * 2000000ull;
    while (open && (most == 0 || total < most)) {
        if (stopping && end == UINT64_MAX) end = now();
        struct ring *ring;
        uint64_t time = now();
        while ((ring = earliest(rings, number, time - settling)) != NULL && (most == 0 || total < most)) {
            if (time_of(ring->next) <= end) {
                if (filled + LARGEST > BUFFER && !(open = flush())) break;
                put_packet((uint32_t)(ring - rings), ring->next);
                ring->written++;
                total++;
            }
            advance(ring);
        }
        if (!open || !(open = flush())) break;
        if (end != UINT64_MAX && time > end + 2 * settling) break;
        /* A ring that waits for the others would end each poll at once: one of its blocks is still to be read. */
        for (unsigned i = 0; i < number; i++) polls[i].fd = rings[i].next == NULL ? rings[i].socket : -1;
        poll(polls, number + 1, timeout);
        if (starter->revents & (POLLERR | POLLHUP)) {
            stopping = 1;
            starter->fd = -1;
        }
    }
    for (unsigned i = 0; i < number; i++) {
        count(&rings[i]);
        put_statistics(i, &rings[i]);
        if (filled + LARGEST > BUFFER && open) open = flush();
    }
    if (open) flush();
    for (unsigned i = 0; i < number; i++)
        fprintf(stderr, "%llu %llu %llu\n", (unsigned long long)rings[i].passed, (unsigned long long)rings[i].dropped,
                (unsigned long long)rings[i].written);
    return 0;
}
