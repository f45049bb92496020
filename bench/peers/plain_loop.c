/*
 * The plain loop: the least that an IP router can do to a packet, over DPDK's rte_fib and rte_fib6.
 * It is the limit that the gateway's pipeline is measured against (`cargo xtask bench`).
 *
 * What is timed, and nothing else, per burst of 32 packets, from one rdtsc to the next:
 *
 *   1. for each packet: EtherType is IPv4, version and IHL are 4 and 5, the TTL is above 1, the
 *      header checksum is right (IPv6: EtherType, version, hop limit above 1); its destination is
 *      gathered, and the header of the packet one burst ahead is prefetched;
 *   2. one rte_fib_lookup_bulk (rte_fib6_lookup_bulk) of the 32 destinations;
 *   3. for each packet: the next hop's two MAC addresses are written, the TTL is decremented and
 *      the checksum updated. A packet that failed a check, or has no route, is counted as dropped.
 *
 * The generator writes the next of 2^20 prepared destinations, a TTL of 64 and the header
 * checksum into a packet. Each row has two figures:
 *
 *   - without it: before each pass over the pool of 4096 packets, untimed, it writes all of them.
 *     So a packet's header is in the second or third level cache when its burst begins, as after a
 *     NIC's DMA: 4096 * (64 bytes of mbuf + 64 bytes of header) is 512 KiB;
 *   - with it: it writes the 32 packets of a burst within the timed part.
 *
 * A pass is 128 bursts. Reported is the median over the passes of (the sum of a pass's bursts) /
 * 4096, so that what else the machine does falls out. Mpps is the TSC's rate divided by it.
 *
 * Routes and destinations (all random numbers by splitmix64, seed 1 for routes, 2 for traffic):
 *   - 1 route: 10.0.0.0/8 (2001:db8::/32), a random host in it;
 *   - more, IPv4: distinct prefixes in 1.0.0.0 - 223.255.255.255, of the lengths in mix4 below; a
 *     random host in a random prefix;
 *   - more, IPv6: one prefix in seven is a /32 in the regional registries' /12s, the others lie
 *     below one of those, of the lengths in mix6 below; a random host in a random prefix.
 * There are 256 next hops, one at random for each route.
 *
 * cc -O3 -march=native plain_loop.c -o plain_loop $(pkg-config --cflags --libs libdpdk)
 * ./plain_loop [--passes N]        prints a JSON list
 */

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_byteorder.h>
#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_ether.h>
#include <rte_fib.h>
#include <rte_fib6.h>
#include <rte_ip.h>
#include <rte_mbuf.h>
#include <rte_prefetch.h>
#include <rte_rib.h>
#include <rte_rib6.h>

#define BURST 32
#define POOL 4096
#define NEXT_HOPS 256
#define FRAME 64
#define DESTINATIONS (1 << 20)
#define NO_ROUTE 0xffff

struct next_hop {
	struct rte_ether_addr dst;
	struct rte_ether_addr src;
};

struct share {
	uint8_t length;
	uint16_t per_mille;
};

static const struct share mix4[] = {
	{24, 600}, {23, 100}, {22, 110}, {21, 50}, {20, 45}, {19, 30}, {18, 15},
	{17, 10},  {16, 25},  {15, 5},	 {14, 4},  {13, 3},  {12, 2},  {11, 1},
};
static const struct share mix6[] = {
	{48, 560}, {44, 110}, {40, 100}, {36, 80}, {46, 40}, {42, 30}, {38, 30}, {34, 30}, {33, 20},
};
static const uint16_t registries[] = {0x2001, 0x2400, 0x2600, 0x2800, 0x2a00, 0x2c00};

struct prefix4 {
	uint32_t network;
	uint8_t length;
};
struct prefix6 {
	uint8_t network[16];
	uint8_t length;
};

static struct rte_mbuf *pool[POOL];
static struct next_hop next_hops[NEXT_HOPS];
static uint64_t dropped;

static void fail(const char *what)
{
	fprintf(stderr, "plain_loop: %s: %s\n", what, rte_strerror(rte_errno));
	exit(1);
}

static uint64_t random_next(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15u;
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

static uint8_t random_length(const struct share *mix, uint64_t number)
{
	uint32_t at = number % 1000;
	for (; at >= mix->per_mille; mix++)
		at -= mix->per_mille;
	return mix->length;
}

/* The timed part for IPv4: one burst, as described above. */
static __rte_noinline void forward4(struct rte_fib *fib, struct rte_mbuf **burst,
				    struct rte_mbuf **ahead)
{
	uint32_t destinations[BURST];
	uint64_t hops[BURST];
	uint32_t bad = 0;

	for (int i = 0; i < BURST; i++) {
		rte_prefetch0(rte_pktmbuf_mtod(ahead[i], void *));
		const struct rte_ether_hdr *ether =
			rte_pktmbuf_mtod(burst[i], struct rte_ether_hdr *);
		const struct rte_ipv4_hdr *ip = (const struct rte_ipv4_hdr *)(ether + 1);
		uint16_t words[10];
		uint32_t sum = 0;
		memcpy(words, ip, sizeof(words));
		for (int w = 0; w < 10; w++)
			sum += words[w];
		sum = (sum & 0xffff) + (sum >> 16);
		sum = (sum & 0xffff) + (sum >> 16);
		bool good = ether->ether_type == RTE_BE16(RTE_ETHER_TYPE_IPV4) &&
			    ip->version_ihl == 0x45 && ip->time_to_live > 1 && sum == 0xffff;
		bad |= (uint32_t)!good << i;
		destinations[i] = rte_be_to_cpu_32(ip->dst_addr);
	}

	rte_fib_lookup_bulk(fib, destinations, hops, BURST);

	for (int i = 0; i < BURST; i++) {
		struct rte_ether_hdr *ether = rte_pktmbuf_mtod(burst[i], struct rte_ether_hdr *);
		struct rte_ipv4_hdr *ip = (struct rte_ipv4_hdr *)(ether + 1);
		if (unlikely((bad >> i & 1) || hops[i] == NO_ROUTE)) {
			dropped++;
			continue;
		}
		const struct next_hop *hop = &next_hops[hops[i]];
		ether->dst_addr = hop->dst;
		ether->src_addr = hop->src;
		ip->time_to_live--;
		uint32_t sum = (uint32_t)ip->hdr_checksum + RTE_BE16(0x0100);
		ip->hdr_checksum = (uint16_t)(sum + (sum >> 16));
	}
}

/* The timed part for IPv6. */
static __rte_noinline void forward6(struct rte_fib6 *fib, struct rte_mbuf **burst,
				    struct rte_mbuf **ahead)
{
	uint8_t destinations[BURST][RTE_FIB6_IPV6_ADDR_SIZE];
	uint64_t hops[BURST];
	uint32_t bad = 0;

	for (int i = 0; i < BURST; i++) {
		rte_prefetch0(rte_pktmbuf_mtod(ahead[i], void *));
		const struct rte_ether_hdr *ether =
			rte_pktmbuf_mtod(burst[i], struct rte_ether_hdr *);
		const struct rte_ipv6_hdr *ip = (const struct rte_ipv6_hdr *)(ether + 1);
		bool good = ether->ether_type == RTE_BE16(RTE_ETHER_TYPE_IPV6) &&
			    (ip->vtc_flow & RTE_BE32(0xf0000000)) == RTE_BE32(0x60000000) &&
			    ip->hop_limits > 1;
		bad |= (uint32_t)!good << i;
		memcpy(destinations[i], ip->dst_addr, sizeof(destinations[i]));
	}

	rte_fib6_lookup_bulk(fib, destinations, hops, BURST);

	for (int i = 0; i < BURST; i++) {
		struct rte_ether_hdr *ether = rte_pktmbuf_mtod(burst[i], struct rte_ether_hdr *);
		struct rte_ipv6_hdr *ip = (struct rte_ipv6_hdr *)(ether + 1);
		if (unlikely((bad >> i & 1) || hops[i] == NO_ROUTE)) {
			dropped++;
			continue;
		}
		const struct next_hop *hop = &next_hops[hops[i]];
		ether->dst_addr = hop->dst;
		ether->src_addr = hop->src;
		ip->hop_limits--;
	}
}

static struct rte_ether_hdr *frame(int number, uint16_t type)
{
	struct rte_ether_hdr *ether = rte_pktmbuf_mtod(pool[number], struct rte_ether_hdr *);
	ether->ether_type = rte_cpu_to_be_16(type);
	return ether;
}

/* The generator for IPv4, for one packet. */
static void write4(int number, uint32_t destination)
{
	struct rte_ipv4_hdr *ip = (struct rte_ipv4_hdr *)(frame(number, RTE_ETHER_TYPE_IPV4) + 1);
	ip->version_ihl = 0x45;
	ip->total_length = rte_cpu_to_be_16(FRAME - sizeof(struct rte_ether_hdr));
	ip->time_to_live = 64;
	ip->next_proto_id = 17;
	ip->src_addr = rte_cpu_to_be_32(0xc0000201);
	ip->dst_addr = rte_cpu_to_be_32(destination);
	ip->hdr_checksum = 0;
	ip->hdr_checksum = rte_ipv4_cksum(ip);
}

/* The generator for IPv6, for one packet. */
static void write6(int number, const uint8_t *destination)
{
	struct rte_ipv6_hdr *ip = (struct rte_ipv6_hdr *)(frame(number, RTE_ETHER_TYPE_IPV6) + 1);
	ip->vtc_flow = RTE_BE32(0x60000000);
	ip->payload_len = rte_cpu_to_be_16(FRAME - 14 - 40);
	ip->proto = 17;
	ip->hop_limits = 64;
	ip->src_addr[0] = 0x20;
	memcpy(ip->dst_addr, destination, 16);
}

/* Random hosts in random prefixes. */
static uint32_t *destinations4(const struct prefix4 *prefixes, uint32_t count)
{
	uint32_t *all = calloc(DESTINATIONS, sizeof(*all));
	uint64_t random = 2;
	for (uint32_t i = 0; all != NULL && i < DESTINATIONS; i++) {
		uint64_t number = random_next(&random);
		const struct prefix4 *to = &prefixes[(number >> 32) % count];
		all[i] = to->network | ((uint32_t)number & (uint32_t)((1ull << (32 - to->length)) - 1));
	}
	return all;
}

static uint8_t *destinations6(const struct prefix6 *prefixes, uint32_t count)
{
	uint8_t *all = calloc(DESTINATIONS, 16);
	uint64_t random = 2;
	for (uint32_t i = 0; all != NULL && i < DESTINATIONS; i++) {
		const struct prefix6 *to = &prefixes[(random_next(&random) >> 32) % count];
		uint64_t host[2] = {random_next(&random), random_next(&random)};
		uint8_t *address = &all[16 * i];
		memcpy(address, host, 16);
		for (int byte = 0; byte < 16; byte++) {
			int bits = to->length - 8 * byte;
			uint8_t mask = bits >= 8 ? 0xff : bits <= 0 ? 0 : (uint8_t)(0xff00 >> bits);
			address[byte] = (address[byte] & ~mask) | to->network[byte];
		}
	}
	return all;
}

static struct rte_fib *routes4(uint32_t count, struct prefix4 *prefixes)
{
	struct rte_fib_conf conf = {
		.type = RTE_FIB_DIR24_8,
		.default_nh = NO_ROUTE,
		.max_routes = (int)count + 1024,
		.rib_ext_sz = 0,
		.dir24_8 = {.nh_sz = RTE_FIB_DIR24_8_4B, .num_tbl8 = 1024},
	};
	struct rte_fib *fib = rte_fib_create("fib4", 0, &conf);
	uint64_t random = 1;

	if (fib == NULL)
		fail("rte_fib_create");
	for (uint32_t n = 0; n < count;) {
		struct prefix4 to = {.network = 10u << 24, .length = 8};
		if (count > 1) {
			uint64_t number = random_next(&random);
			to.length = random_length(mix4, number >> 40);
			to.network = (uint32_t)number & ~(uint32_t)((1ull << (32 - to.length)) - 1);
			if (to.network >> 24 < 1 || to.network >> 24 > 223)
				continue;
			if (rte_rib_lookup_exact(rte_fib_get_rib(fib), to.network, to.length))
				continue;
		}
		rte_errno = -rte_fib_add(fib, to.network, to.length,
					 random_next(&random) % NEXT_HOPS);
		if (rte_errno != 0)
			fail("rte_fib_add");
		prefixes[n++] = to;
	}
	return fib;
}

static struct rte_fib6 *routes6(uint32_t count, struct prefix6 *prefixes)
{
	struct rte_fib6_conf conf = {
		.type = RTE_FIB6_TRIE,
		.default_nh = NO_ROUTE,
		.max_routes = (int)count + 1024,
		.rib_ext_sz = 0,
		.trie = {.nh_sz = RTE_FIB6_TRIE_4B, .num_tbl8 = count > 1 ? 1 << 19 : 1024},
	};
	struct rte_fib6 *fib = rte_fib6_create("fib6", 0, &conf);
	uint64_t random = 1;
	uint32_t allocations = count / 7;

	if (fib == NULL)
		fail("rte_fib6_create");
	for (uint32_t n = 0; n < count;) {
		struct prefix6 to = {.network = {0x20, 0x01, 0x0d, 0xb8}, .length = 32};
		if (count > 1 && n < allocations) {
			uint64_t number = random_next(&random);
			uint16_t block = registries[number % RTE_DIM(registries)];
			to.network[0] = (uint8_t)(block >> 8);
			to.network[1] = (uint8_t)((block & 0xf0) | (number >> 8 & 0x0f));
			to.network[2] = (uint8_t)(number >> 16);
			to.network[3] = (uint8_t)(number >> 24);
		} else if (count > 1) {
			uint64_t number = random_next(&random);
			to = prefixes[(number >> 32) % allocations];
			to.length = random_length(mix6, number >> 20 & 0xfff);
			uint16_t below = (uint16_t)(number & (0xffff0000u >> (to.length - 32)));
			to.network[4] = (uint8_t)(below >> 8);
			to.network[5] = (uint8_t)below;
		}
		if (rte_rib6_lookup_exact(rte_fib6_get_rib(fib), to.network, to.length))
			continue;
		rte_errno = -rte_fib6_add(fib, to.network, to.length,
					  random_next(&random) % NEXT_HOPS);
		if (rte_errno != 0)
			fail("rte_fib6_add");
		prefixes[n++] = to;
	}
	return fib;
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return x < y ? -1 : x > y;
}

/* A table, and traffic for it. */
struct scene {
	struct rte_fib *fib4;
	uint32_t *to4;
	struct rte_fib6 *fib6;
	uint8_t *to6;
};

static void write_burst(const struct scene *scene, int at, uint32_t next)
{
	for (int i = 0; i < BURST; i++, next++) {
		if (scene->fib4 != NULL)
			write4(at + i, scene->to4[next % DESTINATIONS]);
		else
			write6(at + i, &scene->to6[16 * (next % DESTINATIONS)]);
	}
}

/* The median clocks per packet over the passes; `*best` is what a twentieth of them beat. */
static double clocks_per_packet(const struct scene *scene, uint32_t passes, bool with_generator,
				double *best)
{
	uint64_t *clocks = calloc(passes, sizeof(*clocks));
	uint32_t next = 0;
	if (clocks == NULL)
		fail("calloc");
	for (uint32_t pass = 0; pass < passes; pass++, next += POOL) {
		for (int at = 0; !with_generator && at < POOL; at += BURST)
			write_burst(scene, at, next + (uint32_t)at);
		for (int at = 0; at < POOL; at += BURST) {
			struct rte_mbuf **ahead = &pool[(at + BURST) % POOL];
			uint64_t start = rte_rdtsc_precise();
			if (with_generator)
				write_burst(scene, at, next + (uint32_t)at);
			if (scene->fib4 != NULL)
				forward4(scene->fib4, &pool[at], ahead);
			else
				forward6(scene->fib6, &pool[at], ahead);
			clocks[pass] += rte_rdtsc_precise() - start;
		}
	}
	qsort(clocks, passes, sizeof(*clocks), compare);
	double median = (double)clocks[passes / 2] / POOL;
	*best = (double)clocks[passes / 20] / POOL;
	free(clocks);
	return median;
}

/* The median clocks per address of the lookup alone, a burst at a time, over as many addresses. */
static double clocks_per_lookup(const struct scene *scene, uint32_t passes)
{
	uint64_t *clocks = calloc(passes, sizeof(*clocks)), hops[BURST];
	uint32_t next = 0;
	if (clocks == NULL)
		fail("calloc");
	for (uint32_t pass = 0; pass < passes; pass++) {
		for (int at = 0; at < POOL; at += BURST, next += BURST) {
			uint32_t from = next % (DESTINATIONS - BURST);
			uint64_t start = rte_rdtsc_precise();
			if (scene->fib4 != NULL)
				rte_fib_lookup_bulk(scene->fib4, &scene->to4[from], hops, BURST);
			else
				rte_fib6_lookup_bulk(scene->fib6, (void *)&scene->to6[16 * from],
						     hops, BURST);
			clocks[pass] += rte_rdtsc_precise() - start;
		}
	}
	qsort(clocks, passes, sizeof(*clocks), compare);
	double median = (double)clocks[passes / 2] / POOL;
	free(clocks);
	return median;
}

/* One row. */
static void measure(const char *family, uint32_t routes, uint32_t passes, bool last)
{
	bool four = strcmp(family, "ipv4") == 0;
	void *prefixes = calloc(routes, four ? sizeof(struct prefix4) : sizeof(struct prefix6));
	struct scene scene = {0};
	if (prefixes == NULL)
		fail("calloc");
	if (four) {
		scene.fib4 = routes4(routes, prefixes);
		scene.to4 = destinations4(prefixes, routes);
	} else {
		scene.fib6 = routes6(routes, prefixes);
		scene.to6 = destinations6(prefixes, routes);
	}
	if (scene.to4 == NULL && scene.to6 == NULL)
		fail("calloc");

	double best, best_with, hz = (double)rte_get_tsc_hz();
	dropped = 0;
	double median = clocks_per_packet(&scene, passes, false, &best);
	double with = clocks_per_packet(&scene, passes, true, &best_with);
	double lookup = clocks_per_lookup(&scene, passes);
	if (dropped != 0) {
		fprintf(stderr, "plain_loop: %" PRIu64 " packets had no way\n", dropped);
		exit(1);
	}
	printf("  {\"family\": \"%s\", \"routes\": %u, \"mpps\": %.2f, "
	       "\"tsc_clocks_per_packet\": %.2f, \"tsc_clocks_best_twentieth\": %.2f, "
	       "\"mpps_with_generator\": %.2f, \"tsc_clocks_with_generator\": %.2f, "
	       "\"tsc_clocks_per_lookup\": %.2f, \"tsc_hz\": %.0f, \"hugepages\": %s}%s\n",
	       family, routes, hz / median / 1e6, median, best, hz / with / 1e6, with, lookup, hz,
	       rte_eal_has_hugepages() ? "true" : "false", last ? "" : ",");
	fflush(stdout);
	rte_fib_free(scene.fib4);
	rte_fib6_free(scene.fib6);
	free(scene.to4);
	free(scene.to6);
	free(prefixes);
}

static uint64_t free_hugepages(void)
{
	uint64_t pages = 0;
	FILE *file = fopen("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages", "r");
	if (file != NULL) {
		if (fscanf(file, "%" SCNu64, &pages) != 1)
			pages = 0;
		fclose(file);
	}
	return pages;
}

int main(int argc, char **argv)
{
	uint32_t passes = 1000;
	if (argc == 3 && strcmp(argv[1], "--passes") == 0)
		passes = (uint32_t)strtoul(argv[2], NULL, 10);
	else if (argc != 1) {
		fprintf(stderr, "usage: plain_loop [--passes N]\n");
		return 2;
	}

	char *huge[] = {"plain_loop", "--no-pci", "--in-memory", "--log-level=4", "-l", "0"};
	char *plain[] = {"plain_loop", "--no-pci", "--no-huge", "-m",  "2048",
			 "--log-level=4", "-l", "0"};
	bool enough = free_hugepages() >= 1024;
	if (rte_eal_init(enough ? RTE_DIM(huge) : RTE_DIM(plain), enough ? huge : plain) < 0)
		fail("rte_eal_init");

	struct rte_mempool *mempool =
		rte_pktmbuf_pool_create("packets", POOL, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE, 0);
	if (mempool == NULL || rte_pktmbuf_alloc_bulk(mempool, pool, POOL) != 0)
		fail("packets");
	for (int i = 0; i < POOL; i++)
		rte_pktmbuf_append(pool[i], FRAME);
	uint64_t random = 3;
	for (int i = 0; i < NEXT_HOPS; i++) {
		uint64_t number = random_next(&random);
		memcpy(&next_hops[i].dst, &number, 6);
		number = random_next(&random);
		memcpy(&next_hops[i].src, &number, 6);
	}

	printf("[\n");
	measure("ipv4", 1, passes, false);
	measure("ipv4", 20000, passes, false);
	measure("ipv4", 1000000, passes, false);
	measure("ipv6", 1, passes, false);
	measure("ipv6", 250000, passes, true);
	printf("]\n");
	return 0;
}
