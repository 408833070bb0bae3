/* The least that a pod's network costs: what bench/attach.py measures through CNI, as bare system calls in C.
 *
 *   netfloor PODS NODES    prints the milliseconds that one pod took
 *
 * A node is a namespace with a bridge. A pod is a namespace that is pinned by a bind mount, whose eth0 is the far end
 * of a veth pair with its near end in the node's bridge, with loopback up, an address and a default route. Pods are
 * spread over the nodes in turn. Everything is gone when the program ends.
 */
#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <arpa/inet.h>
#include <linux/if.h>
#include <linux/if_link.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define NODES_MOST 16
#define DIRECTORY "/tmp"

struct request {
    struct nlmsghdr header;
    char body[1024];
};

struct node {
    int space, socket, bridge;
};

static void check(int result, const char *what) {
    if (result < 0)
        err(1, "%s", what);
}

/* A request of one type with its fixed part; attributes are appended to it. */
static struct request start(int type, int flags, const void *fixed, size_t length) {
    struct request made = {.header = {.nlmsg_type = type, .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | flags}};
    memcpy(made.body, fixed, length);
    made.header.nlmsg_len = NLMSG_LENGTH(length);
    return made;
}

static struct rtattr *append(struct request *to, int type, const void *value, size_t length) {
    struct rtattr *made = (struct rtattr *)((char *)to + NLMSG_ALIGN(to->header.nlmsg_len));
    made->rta_type = type;
    made->rta_len = RTA_LENGTH(length);
    if (length)
        memcpy(RTA_DATA(made), value, length);
    to->header.nlmsg_len = NLMSG_ALIGN(to->header.nlmsg_len) + RTA_ALIGN(made->rta_len);
    return made;
}

static void append_text(struct request *to, int type, const char *text) {
    append(to, type, text, strlen(text) + 1);
}

static void append_number(struct request *to, int type, unsigned number) {
    append(to, type, &number, sizeof number);
}

/* A nested attribute lasts from its beginning to wherever the request has got to. */
static void close_nest(struct request *of, struct rtattr *nest) {
    nest->rta_len = (char *)of + of->header.nlmsg_len - (char *)nest;
}

static void ask(int socket, struct request *what, const char *name) {
    struct { struct nlmsghdr header; struct nlmsgerr error; char rest[2048]; } answer;
    check(send(socket, what, what->header.nlmsg_len, 0), name);
    check(recv(socket, &answer, sizeof answer, 0), name);
    if (answer.header.nlmsg_type == NLMSG_ERROR && answer.error.error) {
        errno = -answer.error.error;
        err(1, "%s", name);
    }
}

static int netlink(void) {
    int made = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
    check(made, "socket");
    return made;
}

static int own_space(void) {
    int opened = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
    check(opened, "open namespace");
    return opened;
}

static int index_of(int socket, const char *ifname) {
    struct ifinfomsg any = {0};
    struct request what = start(RTM_GETLINK, 0, &any, sizeof any);
    struct { struct nlmsghdr header; struct ifinfomsg link; char rest[8192]; } answer;
    append_text(&what, IFLA_IFNAME, ifname);
    what.header.nlmsg_flags &= ~NLM_F_ACK;
    check(send(socket, &what, what.header.nlmsg_len, 0), "look up link");
    check(recv(socket, &answer, sizeof answer, 0), "look up link");
    return answer.link.ifi_index;
}

static void raise_link(int socket, int index, int master) {
    struct ifinfomsg up = {.ifi_index = index, .ifi_flags = IFF_UP, .ifi_change = IFF_UP};
    struct request what = start(RTM_NEWLINK, 0, &up, sizeof up);
    if (master)
        append_number(&what, IFLA_MASTER, master);
    ask(socket, &what, "raise link");
}

static struct node make_node(void) {
    struct ifinfomsg none = {0};
    struct request what = start(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &none, sizeof none);
    check(unshare(CLONE_NEWNET), "unshare");
    struct node made = {.space = own_space(), .socket = netlink()};
    append_text(&what, IFLA_IFNAME, "cbr0");
    struct rtattr *info = append(&what, IFLA_LINKINFO, NULL, 0);
    append_text(&what, IFLA_INFO_KIND, "bridge");
    close_nest(&what, info);
    ask(made.socket, &what, "make bridge");
    made.bridge = index_of(made.socket, "cbr0");
    raise_link(made.socket, made.bridge, 0);
    return made;
}

static void make_pair(struct node *node, const char *ifname, int pod) {
    struct ifinfomsg none = {0};
    struct request what = start(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &none, sizeof none);
    append_text(&what, IFLA_IFNAME, ifname);
    struct rtattr *info = append(&what, IFLA_LINKINFO, NULL, 0);
    append_text(&what, IFLA_INFO_KIND, "veth");
    struct rtattr *data = append(&what, IFLA_INFO_DATA, NULL, 0);
    struct rtattr *peer = append(&what, VETH_INFO_PEER, &none, sizeof none);
    append_text(&what, IFLA_IFNAME, "eth0");
    append_number(&what, IFLA_NET_NS_FD, pod);
    close_nest(&what, peer);
    close_nest(&what, data);
    close_nest(&what, info);
    ask(node->socket, &what, "make veth pair");
    raise_link(node->socket, index_of(node->socket, ifname), node->bridge);
}

static void address_and_route(int socket, int index, unsigned host) {
    unsigned address = htonl(0x0a2c0000 + host), gateway = htonl(0x0a2c0001);
    struct ifaddrmsg on = {.ifa_family = AF_INET, .ifa_prefixlen = 16, .ifa_index = index};
    struct request what = start(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, &on, sizeof on);
    append_number(&what, IFA_LOCAL, address);
    append_number(&what, IFA_ADDRESS, address);
    ask(socket, &what, "add address");
    struct rtmsg route = {.rtm_family = AF_INET, .rtm_table = RT_TABLE_MAIN, .rtm_protocol = RTPROT_BOOT, .rtm_type = RTN_UNICAST};
    what = start(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, &route, sizeof route);
    append_number(&what, RTA_GATEWAY, gateway);
    append_number(&what, RTA_OIF, index);
    ask(socket, &what, "add route");
}

static void make_pod(struct node *node, const char *pin, unsigned number) {
    char ifname[IFNAMSIZ];
    snprintf(ifname, sizeof ifname, "veth%u", number);
    int file = open(pin, O_RDONLY | O_CREAT | O_CLOEXEC, 0444);
    check(file, pin);
    close(file);
    check(unshare(CLONE_NEWNET), "unshare");
    check(mount("/proc/thread-self/ns/net", pin, "none", MS_BIND, NULL), pin);
    int space = open(pin, O_RDONLY | O_CLOEXEC), inside = netlink();
    check(setns(node->space, CLONE_NEWNET), "enter node");
    make_pair(node, ifname, space);
    int eth0 = index_of(inside, "eth0");
    raise_link(inside, 1, 0);
    raise_link(inside, eth0, 0);
    address_and_route(inside, eth0, 2 + number);
    close(inside);
    close(space);
}

static double milliseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1e3 + now.tv_nsec / 1e6;
}

int main(int count, char **words) {
    unsigned pods = count > 1 ? atoi(words[1]) : 200, nodes = count > 2 ? atoi(words[2]) : 2;
    struct node node[NODES_MOST];
    char pin[64];
    if (nodes < 1 || nodes > NODES_MOST || pods < 1)
        errx(1, "usage: netfloor PODS NODES, at most %d nodes", NODES_MOST);
    /* In a mount namespace of its own, so that the pins go with the program. */
    check(unshare(CLONE_NEWNS), "unshare mounts");
    check(mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL), "make mounts private");
    check(mount("none", DIRECTORY, "tmpfs", 0, NULL), "mount tmpfs");
    for (unsigned i = 0; i < nodes; i++)
        node[i] = make_node();
    double began = milliseconds();
    for (unsigned i = 0; i < pods; i++) {
        snprintf(pin, sizeof pin, DIRECTORY "/pod%u", i);
        make_pod(&node[i % nodes], pin, i);
    }
    printf("%.3f\n", (milliseconds() - began) / pods);
    return 0;
}
