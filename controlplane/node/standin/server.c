/* The server that stands in for an image that is not on this machine.
 *
 * It answers every HTTP request, on every port it is told, with who it is and who asked, so that
 * Services, probes and captures have something real to talk to. It is not a web server: no files,
 * no routes. A line that is no HTTP gets the same answer without headers (for `nc`), a UDP datagram
 * likewise with its payload behind.
 *
 * One process, one epoll, no threads, no stdio: the resident size is what matters here, there may
 * be hundreds of these. The ports are in a file which is read again on SIGHUP, so that the agent
 * can add the target port of a Service made later. On SIGTERM it goes on serving until the traffic has
 * moved away (QUIET_MS without a request, or twice as long as requests usually are apart; DRAIN_MS at
 * most), so that a rolling update loses nothing.
 *
 * Called as /pause it serves nothing: it is then the first process of a pod whose containers share
 * their processes, and reaps those that lose their parent, until SIGTERM or SIGINT.
 *
 * The file has a word and a value a line: image, pod, namespace, node, address (for the answer);
 * tcp, udp (a port that must open); maybe (a TCP port that may be taken by another container).
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define IN_SIZE 8192
#define OUT_SIZE 10240
#define MAX_PORTS 64
#define MAX_CONNECTIONS 4096
#define IDLE_MS 75000
#define QUIET_MS 500
#define DRAIN_MS 2000
#define STEADY_MS 9000

enum kind { SIGNALS, LISTENER, DATAGRAM, CONNECTION };
enum body { NONE, LENGTH, CHUNK_SIZE, CHUNK_DATA, CHUNK_END, TRAILER };

struct source {
    enum kind kind;
    int fd;
};

struct port {
    struct source source;
    int number;
    int udp;
    int wanted;
};

struct connection {
    struct source source;
    struct connection *next, *previous;
    long long last_active;
    enum body body;
    long long body_left;
    int close_after, is_head, old_http, plain, want_write;
    size_t have, out_have, out_sent;
    char peer[INET6_ADDRSTRLEN + 8];
    char line[512];
    char in[IN_SIZE];
    char out[OUT_SIZE];
};

static struct port ports[MAX_PORTS];
static int port_count;
static struct connection *connections;
static int connection_count;
static int poller;
static long long draining_since, last_request, usual_gap, quiet_ms;
static char about[1536];
static size_t about_length;
static char image[512] = "?";
static const char *config_path;

static long long now_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000LL + t.tv_nsec / 1000000;
}

static void note_request(void) {
    long long now = now_ms(), gap = now - last_request;
    if (!draining_since) usual_gap = gap > STEADY_MS ? 0 : usual_gap ? (usual_gap + gap) / 2 : gap;
    last_request = now;
}

/* Text building without printf, which would bring half of libc into memory. */
struct text {
    char *at, *end;
};

static void put(struct text *t, const char *s) {
    while (*s && t->at < t->end) *t->at++ = *s++;
}

static void put_number(struct text *t, unsigned long long n) {
    char digits[24], *p = digits + sizeof digits - 1;
    *p = 0;
    do *--p = '0' + n % 10; while (n /= 10);
    put(t, p);
}

static void say(const char *a, const char *b, const char *c, const char *d) {
    char line[1400];
    struct text t = {line, line + sizeof line - 1};
    put(&t, a); put(&t, b); put(&t, c); put(&t, d);
    *t.at++ = '\n';
    /* Never blocks: if nobody takes the log, the answer goes out all the same. */
    if (write(1, line, t.at - line) < 0) return;
}

static int watch(struct source *source, uint32_t events, int operation) {
    struct epoll_event event = {.events = events, .data.ptr = source};
    return epoll_ctl(poller, operation, source->fd, &event);
}

static void peer_text(const struct sockaddr_in6 *address, char *into, size_t size) {
    char host[INET6_ADDRSTRLEN] = "?";
    struct text t = {into, into + size - 1};
    if (address->sin6_family == AF_INET) {
        const struct sockaddr_in *four = (const void *)address;
        inet_ntop(AF_INET, &four->sin_addr, host, sizeof host);
        put(&t, host);
    } else if (IN6_IS_ADDR_V4MAPPED(&address->sin6_addr)) {
        inet_ntop(AF_INET, address->sin6_addr.s6_addr + 12, host, sizeof host);
        put(&t, host);
    } else {
        inet_ntop(AF_INET6, &address->sin6_addr, host, sizeof host);
        put(&t, "["); put(&t, host); put(&t, "]");
    }
    put(&t, ":");
    put_number(&t, ntohs(address->sin6_port));
    *t.at = 0;
}

/* Ports */

static int open_port(int number, int udp) {
    int type = (udp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_NONBLOCK | SOCK_CLOEXEC, one = 1, zero = 0;
    struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = htons(number)};
    struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = htons(number)};
    int fd = socket(AF_INET6, type, 0), failed;
    if (fd >= 0) {
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof zero);
        if (!udp) setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
        failed = bind(fd, (void *)&six, sizeof six);
        if (failed && errno == EADDRNOTAVAIL) { /* IPv6 is off in this namespace */
            close(fd);
            fd = -1;
        }
    }
    if (fd < 0) {
        fd = socket(AF_INET, type, 0);
        if (fd < 0) return -1;
        if (!udp) setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
        failed = bind(fd, (void *)&four, sizeof four);
    }
    if (failed || (!udp && listen(fd, 1024))) {
        int why = errno;
        close(fd);
        errno = why;
        return -1;
    }
    return fd;
}

static void want_port(int number, int udp, int must) {
    char shown[16];
    struct text t = {shown, shown + sizeof shown - 1};
    put_number(&t, number);
    put(&t, udp ? "/udp" : "/tcp");
    *t.at = 0;
    for (int i = 0; i < port_count; i++)
        if (ports[i].number == number && ports[i].udp == udp) {
            ports[i].wanted = 1;
            return;
        }
    if (port_count == MAX_PORTS || number < 1 || number > 65535) return;
    int fd = open_port(number, udp);
    if (fd < 0) {
        say("cannot listen on ", shown, ": ", errno == EADDRINUSE ? "Address already in use" : strerrordesc_np(errno));
        if (must) _exit(1);
        return;
    }
    struct port *port = &ports[port_count++];
    port->source.kind = udp ? DATAGRAM : LISTENER;
    port->source.fd = fd;
    port->number = number;
    port->udp = udp;
    port->wanted = 1;
    watch(&port->source, EPOLLIN, EPOLL_CTL_ADD);
    say("stand-in for ", image, " listens on ", shown);
}

static void add_about(const char *word, const char *value) {
    struct text t = {about + about_length, about + sizeof about - 1};
    put(&t, word); put(&t, ": "); put(&t, value); put(&t, "\n");
    about_length = t.at - about;
}

static void read_config(void) {
    char file[4096];
    int fd = open(config_path, O_RDONLY | O_CLOEXEC);
    ssize_t size = fd < 0 ? -1 : read(fd, file, sizeof file - 1);
    if (fd >= 0) close(fd);
    if (size < 0) {
        say("cannot read ", config_path, "", "");
        if (!port_count) _exit(1);
        return;
    }
    file[size] = 0;
    about_length = 0;
    for (int i = 0; i < port_count; i++) ports[i].wanted = 0;
    char *rest = file, *line;
    while ((line = strsep(&rest, "\n"))) {
        char *value = strchr(line, ' ');
        if (!value) continue;
        *value++ = 0;
        if (!strcmp(line, "tcp")) want_port(atoi(value), 0, 1);
        else if (!strcmp(line, "udp")) want_port(atoi(value), 1, 1);
        else if (!strcmp(line, "maybe")) want_port(atoi(value), 0, 0);
        else {
            if (!strcmp(line, "image")) {
                strncpy(image, value, sizeof image - 1);
            }
            add_about(line, value);
        }
    }
    /* A port that is wanted no more stays open: closing it could lose who is just coming in. */
}

/* Answers */

static size_t answer_text(char *into, size_t size, const char *peer, const char *request) {
    struct text t = {into, into + size};
    about[about_length] = 0;
    put(&t, about);
    put(&t, "client: "); put(&t, peer);
    put(&t, "\nrequest: "); put(&t, request);
    put(&t, "\n");
    return t.at - into;
}

static void drop(struct connection *c) {
    close(c->source.fd);
    if (c->previous) c->previous->next = c->next; else connections = c->next;
    if (c->next) c->next->previous = c->previous;
    connection_count--;
    free(c);
}

static void answer(struct connection *c, const char *status) {
    static char body[4096];
    size_t length = answer_text(body, sizeof body, c->peer, c->line);
    struct text t = {c->out + c->out_have, c->out + OUT_SIZE};
    if (draining_since) c->close_after = 1;
    if (!c->plain) {
        put(&t, "HTTP/1.1 "); put(&t, status);
        put(&t, "\r\nServer: netsim-standin\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: ");
        put_number(&t, length);
        put(&t, c->close_after ? "\r\nConnection: close\r\n\r\n" : c->old_http ? "\r\nConnection: keep-alive\r\n\r\n" : "\r\n\r\n");
    }
    if (!c->is_head && (size_t)(t.end - t.at) >= length) {
        memcpy(t.at, body, length);
        t.at += length;
    }
    c->out_have = t.at - c->out;
    char quoted[600];
    struct text q = {quoted, quoted + sizeof quoted - 1};
    put(&q, " \""); put(&q, c->line); put(&q, "\" ");
    *q.at = 0;
    char number[4] = {0};
    memcpy(number, status, 3);
    say(c->peer, quoted, number, "");
    note_request();
}

/* 1: all is sent; 0: waits for room; -1: the connection is gone. */
static int flush_out(struct connection *c) {
    while (c->out_sent < c->out_have) {
        ssize_t n = send(c->source.fd, c->out + c->out_sent, c->out_have - c->out_sent, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0 && errno == EAGAIN) {
            if (!c->want_write) {
                c->want_write = 1;
                watch(&c->source, EPOLLOUT, EPOLL_CTL_MOD);
            }
            return 0;
        }
        if (n < 0) return -1;
        c->out_sent += n;
    }
    c->out_have = c->out_sent = 0;
    if (c->want_write) {
        c->want_write = 0;
        watch(&c->source, EPOLLIN, EPOLL_CTL_MOD);
    }
    return 1;
}

static void consume(struct connection *c, size_t n) {
    memmove(c->in, c->in + n, c->have - n);
    c->have -= n;
}

static int header_is(const char *line, const char *name, const char **value) {
    size_t n = strlen(name);
    if (strncasecmp(line, name, n) || line[n] != ':') return 0;
    line += n + 1;
    while (*line == ' ' || *line == '\t') line++;
    *value = line;
    return 1;
}

/* Takes the request line and headers, which end at `end`; 0 when it is no valid request. */
static int parse_head(struct connection *c, char *end) {
    char *rest = c->in, *line, *version;
    const char *value;
    int expects = 0;
    *end = 0;
    line = strsep(&rest, "\n");
    line[strcspn(line, "\r")] = 0;
    strncpy(c->line, line, sizeof c->line - 1);
    version = strrchr(line, ' ');
    c->plain = !version || strncmp(version, " HTTP/1.", 8);
    c->old_http = !c->plain && version[8] == '0';
    c->is_head = !strncmp(line, "HEAD ", 5);
    c->close_after = c->plain || c->old_http;
    c->body = NONE;
    c->body_left = 0;
    while (rest && (line = strsep(&rest, "\n"))) {
        line[strcspn(line, "\r")] = 0;
        if (header_is(line, "Content-Length", &value)) {
            char *stop;
            c->body_left = strtoll(value, &stop, 10);
            if (stop == value || c->body_left < 0) return 0;
            if (c->body == NONE && c->body_left) c->body = LENGTH;
        } else if (header_is(line, "Transfer-Encoding", &value)) {
            if (strcasecmp(value, "chunked")) return 0;
            c->body = CHUNK_SIZE;
        } else if (header_is(line, "Connection", &value)) {
            if (strcasestr(value, "close")) c->close_after = 1;
            else if (c->old_http && strcasestr(value, "keep-alive")) c->close_after = 0;
        } else if (header_is(line, "Expect", &value) && !strcasecmp(value, "100-continue")) {
            expects = 1;
        }
    }
    if (expects && c->body != NONE) {
        struct text t = {c->out + c->out_have, c->out + OUT_SIZE};
        put(&t, "HTTP/1.1 100 Continue\r\n\r\n");
        c->out_have = t.at - c->out;
    }
    return 1;
}

/* Drops request body from the buffer; 1 when the body has ended, 0 for more to come, -1 when malformed. */
static int skip_body(struct connection *c) {
    while (c->body != NONE) {
        if (c->body == LENGTH || c->body == CHUNK_DATA) {
            size_t n = c->have < (size_t)c->body_left ? c->have : (size_t)c->body_left;
            consume(c, n);
            c->body_left -= n;
            if (c->body_left) return 0;
            c->body = c->body == LENGTH ? NONE : CHUNK_END;
            continue;
        }
        char *newline = memchr(c->in, '\n', c->have);
        if (!newline) return c->have == IN_SIZE - 1 ? -1 : 0;
        size_t n = newline + 1 - c->in;
        if (c->body == CHUNK_SIZE) {
            char *stop;
            c->body_left = strtoll(c->in, &stop, 16);
            if (stop == c->in || c->body_left < 0) return -1;
            c->body = c->body_left ? CHUNK_DATA : TRAILER;
        } else if (c->body == CHUNK_END) {
            c->body = CHUNK_SIZE;
        } else if (n <= 2) {
            c->body = NONE;
        }
        consume(c, n);
    }
    return 1;
}

static char *end_of_head(struct connection *c, size_t *length) {
    char *first = memchr(c->in, '\n', c->have);
    if (first) { /* a first line that is no HTTP is a whole request */
        size_t n = first - c->in;
        if (!memmem(c->in, n, " HTTP/1.", 8)) {
            *length = n + 1;
            return first;
        }
    }
    char *end = memmem(c->in, c->have, "\r\n\r\n", 4);
    if (end) {
        *length = end + 4 - c->in;
        return end;
    }
    end = memmem(c->in, c->have, "\n\n", 2);
    if (end) *length = end + 2 - c->in;
    return end;
}

/* Answers every whole request in the buffer; 0 when the connection has been dropped. */
static int serve(struct connection *c) {
    for (;;) {
        int sent = flush_out(c);
        if (sent < 0 || (sent && c->close_after == 2)) {
            drop(c);
            return 0;
        }
        if (!sent) return 1;
        if (c->body == NONE) {
            size_t length;
            while (c->have && (*c->in == '\r' || *c->in == '\n')) consume(c, 1);
            char *end = end_of_head(c, &length);
            if (!end && c->have < IN_SIZE - 1) return 1;
            if (!end || !parse_head(c, end)) {
                c->close_after = 1;
                c->body = NONE;
                answer(c, end ? "400 Bad Request" : "431 Request Header Fields Too Large");
                c->close_after = 2;
                continue;
            }
            consume(c, length);
            if (c->out_have && flush_out(c) < 0) {
                drop(c);
                return 0;
            }
        }
        int ended = skip_body(c);
        if (ended == 0) return 1;
        if (ended < 0) {
            drop(c);
            return 0;
        }
        answer(c, "200 OK");
        if (c->close_after) c->close_after = 2;
    }
}

static void receive(struct connection *c) {
    c->last_active = now_ms();
    if (c->want_write) {
        serve(c);
        return;
    }
    for (;;) {
        ssize_t n = recv(c->source.fd, c->in + c->have, IN_SIZE - 1 - c->have, 0);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0 && errno == EAGAIN) return;
        if (n <= 0) {
            drop(c);
            return;
        }
        c->have += n;
        if (!serve(c) || c->want_write) return;
    }
}

static void accept_all(struct port *port) {
    for (;;) {
        struct sockaddr_in6 address;
        socklen_t size = sizeof address;
        int one = 1, fd = accept4(port->source.fd, (void *)&address, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0 && (errno == EINTR || errno == ECONNABORTED)) continue;
        if (fd < 0) return;
        struct connection *c = connection_count < MAX_CONNECTIONS ? malloc(sizeof *c) : 0;
        if (!c) {
            close(fd);
            return;
        }
        memset(c, 0, offsetof(struct connection, in));
        c->source.kind = CONNECTION;
        c->source.fd = fd;
        c->last_active = now_ms();
        peer_text(&address, c->peer, sizeof c->peer);
        c->next = connections;
        if (connections) connections->previous = c;
        connections = c;
        connection_count++;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        watch(&c->source, EPOLLIN, EPOLL_CTL_ADD);
        receive(c); /* the request is often there already */
    }
}

static void answer_datagrams(struct port *port) {
    static char payload[2048], out[4096];
    struct sockaddr_in6 address;
    socklen_t size = sizeof address;
    ssize_t n;
    while ((n = recvfrom(port->source.fd, payload, sizeof payload - 1, 0, (void *)&address, &size)) >= 0) {
        char peer[INET6_ADDRSTRLEN + 8];
        peer_text(&address, peer, sizeof peer);
        while (n && (payload[n - 1] == '\n' || payload[n - 1] == '\r')) n--;
        payload[n] = 0;
        size_t length = answer_text(out, sizeof out, peer, payload);
        sendto(port->source.fd, out, length, MSG_NOSIGNAL, (void *)&address, size);
        say(peer, " udp datagram", "", "");
        note_request();
        size = sizeof address;
    }
}

/* Requests that come slowly, as on a slow machine, say little when they stay away for a while. */
static void drain(void) {
    long long now = now_ms(), expected = now - last_request > STEADY_MS ? 0 : 2 * usual_gap;
    quiet_ms = expected > QUIET_MS ? expected : QUIET_MS;
    draining_since = last_request = now;
    say("stopping: serves on until no more requests come", "", "", "");
}

static void close_idle(long long before) {
    for (struct connection *c = connections, *next; c; c = next) {
        next = c->next;
        if (c->last_active < before) drop(c);
    }
}

static void handle_signals(int fd) {
    struct signalfd_siginfo info;
    while (read(fd, &info, sizeof info) == sizeof info) {
        if (info.ssi_signo == SIGHUP) read_config();
        else if (!draining_since) drain();
    }
}

/* Milliseconds until something is due; exits when the drain is over. */
static int next_timeout(void) {
    long long now = now_ms();
    if (!draining_since) {
        close_idle(now - IDLE_MS);
        return connections ? 10000 : -1;
    }
    long long end = draining_since + DRAIN_MS, quiet = last_request + quiet_ms;
    if (now >= end || now >= quiet) {
        for (int i = 0; i < port_count; i++)
            if (!ports[i].udp) accept_all(&ports[i]);
        say("stopped", "", "", "");
        _exit(0);
    }
    return (int)((quiet < end ? quiet : end) - now) + 1;
}

static int hold(void) {
    sigset_t set;
    int number;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigprocmask(SIG_BLOCK, &set, 0);
    signal(SIGCHLD, SIG_IGN);
    return sigwait(&set, &number);
}

int main(int argc, char **argv) {
    struct source signals = {.kind = SIGNALS};
    struct epoll_event events[64];
    sigset_t set;
    if (argc == 1 && !strcmp(argv[0], "/pause")) return hold();
    if (argc < 2) return 2;
    config_path = argv[1];
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    sigprocmask(SIG_BLOCK, &set, 0);
    signal(SIGCHLD, SIG_IGN); /* as process 1 it inherits what others leave: no zombies */
    fcntl(1, F_SETFL, fcntl(1, F_GETFL) | O_NONBLOCK);
    poller = epoll_create1(EPOLL_CLOEXEC);
    signals.fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    watch(&signals, EPOLLIN, EPOLL_CTL_ADD);
    read_config();
    if (argc > 2) { /* a fifo: whoever reads it learns that all ports are open */
        int fd = open(argv[2], O_WRONLY | O_NONBLOCK | O_CLOEXEC);
        if (fd >= 0 && write(fd, "\n", 1) < 0) say("nobody waits at ", argv[2], "", "");
        if (fd >= 0) close(fd);
    }
    for (;;) {
        int n = epoll_wait(poller, events, 64, next_timeout());
        handle_signals(signals.fd);
        for (int i = 0; i < n; i++) {
            struct source *source = events[i].data.ptr;
            if (source->kind == LISTENER) accept_all((struct port *)source);
            else if (source->kind == DATAGRAM) answer_datagrams((struct port *)source);
            else if (source->kind == CONNECTION) receive((struct connection *)source);
        }
    }
}
