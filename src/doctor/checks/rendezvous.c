/* The interface and address that ranks on several nodes meet at. */
#include "doctor/doctor.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The probe "network": if.NAME up|down, and with MASTER_ADDR: master.address, master.source (this side's address), master.error. */
static void rendezvous_probe(doctor_out *o, void *ctx) {
    const char *master = ctx;
    struct ifaddrs *all = NULL;
    char key[80], text[64];
    if (!getifaddrs(&all))
        for (struct ifaddrs *i = all; i; i = i->ifa_next) {
            if (!i->ifa_addr || (i->ifa_addr->sa_family != AF_INET && i->ifa_addr->sa_family != AF_INET6)) continue;
            const void *at = i->ifa_addr->sa_family == AF_INET ? (void *)&((struct sockaddr_in *)(void *)i->ifa_addr)->sin_addr : (void *)&((struct sockaddr_in6 *)(void *)i->ifa_addr)->sin6_addr;
            snprintf(key, sizeof key, "if.%s", i->ifa_name);
            doctor_say(o, key, "%s %s", i->ifa_flags & IFF_UP ? "up" : "down", inet_ntop(i->ifa_addr->sa_family, at, text, sizeof text));
        }
    freeifaddrs(all);
    if (!master) return;
    struct addrinfo want = {.ai_socktype = SOCK_DGRAM}, *found = NULL;
    int r = getaddrinfo(master, "9", &want, &found);
    if (r) {
        doctor_say(o, "master.error", "getaddrinfo(%s): %s", master, gai_strerror(r));
        return;
    }
    getnameinfo(found->ai_addr, found->ai_addrlen, text, sizeof text, NULL, 0, NI_NUMERICHOST);
    doctor_say(o, "master.address", "%s", text);
    int fd = socket(found->ai_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct sockaddr_storage here;
    socklen_t size = sizeof here;
    if (fd < 0 || connect(fd, found->ai_addr, found->ai_addrlen)) doctor_say(o, "master.error", "no route to %s: %s", text, strerror(errno));
    else if (!getsockname(fd, (struct sockaddr *)&here, &size) && !getnameinfo((struct sockaddr *)&here, size, text, sizeof text, NULL, 0, NI_NUMERICHOST))
        doctor_say(o, "master.source", "%s", text);
    if (fd >= 0) close(fd);
    freeaddrinfo(found);
}

/* Whether a name of NCCL_SOCKET_IFNAME ("eth,ib0", "=eth0", "^docker") can stand for an interface that is up. */
static bool rendezvous_matches(doctor *d, const doctor_facts *facts, const char *names) {
    const char *const *interfaces;
    int n = doctor_names(d, "/sys/class/net", &interfaces);
    bool except = *names == '^', exact = *names == '=';
    for (int i = 0; i < n; i++) {
        const char *state = doctor_fact(facts, "if.%s", interfaces[i]);
        bool named = false;
        if (!state || strncmp(state, "up", 2)) continue;
        for (const char *p = names + (except || exact); *p; p += strcspn(p, ","), p += *p == ',') {
            size_t k = strcspn(p, ",");
            named |= !strncmp(interfaces[i], p, k) && (!exact || !interfaces[i][k]);
        }
        if (named != except) return true;
    }
    return n <= 0;
}

static void rendezvous_run(doctor *d) {
    const char *master = doctor_env(d, "MASTER_ADDR"), *names = doctor_env(d, "NCCL_SOCKET_IFNAME"), *gloo = doctor_env(d, "GLOO_SOCKET_IFNAME");
    const char *world = doctor_env(d, "WORLD_SIZE"), *host = doctor_line(d, "/proc/sys/kernel/hostname"), *link = "https://docs.nvidia.com/deeplearning/nccl/user-guide/docs/env.html#nccl-socket-ifname";
    if (!master && !names && !gloo) return; /* one machine needs no meeting point */
    const doctor_facts *facts = doctor_probe(d, "network", rendezvous_probe, (void *)master, 8000);
    const char *lists[] = {names, gloo}, *variables[] = {"NCCL_SOCKET_IFNAME", "GLOO_SOCKET_IFNAME"};
    const char *source = doctor_fact(facts, "master.source"), *error = doctor_fact(facts, "master.error"), *address = doctor_fact(facts, "master.address");
    doctor_finding *f;
    int bad = 0;
    for (int i = 0; i < 2; i++) {
        if (!lists[i] || !*lists[i] || rendezvous_matches(d, facts, lists[i])) continue;
        f = doctor_find(d, DOCTOR_BROKEN, "rendezvous-interface", link);
        doctor_evidence(d, f, "%s=%s; no interface of that name is up", variables[i], lists[i]);
        doctor_cause(d, f, "%s names an interface that this node does not have: 'no socket interface found'.", "%s 指定的网卡在本节点不存在: 会报 'no socket interface found'。", variables[i]);
        doctor_cure(d, f, "ip -br addr; export %s=<one that is up; a prefix such as eth,en,ib fits mixed nodes>", "ip -br addr; export %s=<已启用的网卡; 混合节点可写前缀 eth,en,ib>", variables[i]);
        bad++;
    }
    if (error) {
        f = doctor_find(d, DOCTOR_BROKEN, "rendezvous-master", "https://github.com/NVIDIA/nccl/issues/286");
        doctor_evidence(d, f, "MASTER_ADDR=%s; %s", master, error);
        doctor_cause(d, f, "The meeting point %s cannot be reached from here.", "从这里无法到达汇合点 %s。", master);
        doctor_cure(d, f, "MASTER_ADDR=<address of rank 0 that answers: getent hosts NAME; ip route get ADDRESS>", "MASTER_ADDR=<rank 0 可达的地址: getent hosts NAME; ip route get ADDRESS>");
        bad++;
    } else if (address && world && atoi(world) > 1 && (!strncmp(address, "127.", 4) || !strcmp(address, "::1")) && host && !strcmp(master, host)) {
        f = doctor_find(d, DOCTOR_BROKEN, "rendezvous-loopback", "https://github.com/NVIDIA/nccl/issues/286");
        doctor_evidence(d, f, "MASTER_ADDR=%s is %s here; WORLD_SIZE=%s", master, address, world);
        doctor_cause(d, f, "The node's own name means %s here (/etc/hosts): other nodes wait for an address that listens to nobody else.", "本机名在此解析为 %s (/etc/hosts): 其他节点连不上只在本机监听的地址。", address);
        doctor_cure(d, f, "MASTER_ADDR=$(hostname -I | awk '{print $1}'), or remove the name from the 127.0.1.1 line of /etc/hosts", "MASTER_ADDR=$(hostname -I | awk '{print $1}'), 或从 /etc/hosts 的 127.0.1.1 行删掉主机名");
        bad++;
    }
    if (!bad) doctor_fine(d, "MASTER_ADDR=%s%s%s%s%s", master ? master : "(not set)", address ? " is " : "", address ? address : "", source ? ", reached from " : "", source ? source : "");
}

DOCTOR_CHECK(rendezvous, .code = 1103, .layer = DOCTOR_NETWORK, .reads = "MASTER_ADDR, NCCL_SOCKET_IFNAME, GLOO_SOCKET_IFNAME, getifaddrs, the route to MASTER_ADDR", .asks = "can ranks on several nodes meet?",
             .finds = {"rendezvous-interface", "rendezvous-master", "rendezvous-loopback"}, .run = rendezvous_run);
