/* What the Rust side calls: src/ffi.rs declares the same. Everything of DPDK that is inline or a
 * macro is behind these functions, one call per burst, never one per packet. Functions that can fail
 * return 0 or more, or -errno. */

#ifndef PORTCULLIS_DPDK_SHIM_H
#define PORTCULLIS_DPDK_SHIM_H

#include <stddef.h>
#include <stdint.h>

/* The header that a packet's buffer has on the Rust side: in the mbuf's private area. src/ffi.rs asserts that the two
 * agree. */
#define PC_FRAME_SIZE 64
#define PC_META_SIZE 36

struct pc_frame {
	void *memory;
	void *origin;
	uint32_t capacity;
	/* Where in the memory the data are. */
	uint32_t start;
	uint32_t length;
	uint8_t meta[PC_META_SIZE];
};

/* Frames of a burst at most. */
#define PC_BURST 64

struct pc_received {
	uint64_t bytes;
	/* A bit for each frame that is not one piece of its pool's own memory. */
	uint64_t odd;
};

/* What is to be done to a frame before it leaves: PC_CHECKSUM_*, and the lengths of its headers. */
struct pc_request {
	uint16_t at;
	uint16_t flags;
	uint16_t l2;
	uint16_t l3;
};

struct pc_sent {
	uint64_t bytes;
	uint16_t frames;
	/* That the device said it can't send as they are. */
	uint16_t refused;
	uint32_t reserved;
};

#define PC_CHECKSUM_TCP4 1u
#define PC_CHECKSUM_TCP6 2u
#define PC_CHECKSUM_UDP4 3u
#define PC_CHECKSUM_UDP6 4u

struct pc_device {
	char driver[32];
	uint8_t mac[8];
	uint16_t max_rx_queues;
	uint16_t max_tx_queues;
	uint16_t min_mtu;
	uint16_t max_mtu;
	int32_t numa_node;
	uint32_t offloads;
	uint64_t rss_functions;
};

#define PC_OFFLOAD_TX_IPV4_L4 1u
#define PC_OFFLOAD_RX_IPV4 2u
/* No offload, but the want of one: frames are copied by the CPU that polls the device, not by the device. */
#define PC_COPIED_BY_CPU 4u

struct pc_setup {
	uint16_t rx_queues;
	uint16_t tx_queues;
	uint16_t rx_descriptors;
	uint16_t tx_descriptors;
	uint16_t mtu;
	uint16_t reserved;
	uint32_t offloads;
	uint64_t rss_functions;
};

struct pc_link {
	uint32_t up;
	uint32_t megabits;
};

struct pc_statistics {
	uint64_t missed;
	uint64_t rx_errors;
	uint64_t no_buffer;
	uint64_t tx_errors;
};

/* eal.c */
const char *pc_version(void);
const char *pc_words(int error);
int pc_log_to(void (*sink)(uint32_t level, const char *text, size_t length));
int pc_start(int count, char **arguments);
int pc_thread_register(void);
void pc_thread_unregister(void);
uint32_t pc_lcore(void);
int32_t pc_numa_node(void);

/* memory.c */
void *pc_pool_new(const char *name, uint32_t buffers, uint32_t cache, uint16_t room, int numa_node,
		  void (*made)(void *frame, void *memory, uint32_t capacity), int *error);
void pc_pool_free(void *pool);
uint32_t pc_pool_available(const void *pool);
int pc_buffers_get(void *pool, void **frames, uint32_t count);
void pc_buffers_put(void **frames, uint32_t count);

/* device.c */
int pc_probe(const char *devargs);
int pc_look(uint16_t port, struct pc_device *device);
int pc_configure(uint16_t port, const struct pc_setup *setup, void *pool);
int pc_device_start(uint16_t port);
int pc_device_stop(uint16_t port);
int pc_device_close(uint16_t port);
int pc_device_link(uint16_t port, struct pc_link *link);
int pc_device_statistics(uint16_t port, struct pc_statistics *statistics);
int pc_device_mac(uint16_t port, uint8_t *mac);
int pc_device_set_mac(uint16_t port, const uint8_t *mac);
int pc_device_mtu(uint16_t port);
int pc_device_set_mtu(uint16_t port, uint16_t mtu);
int pc_device_set_promiscuous(uint16_t port, int on);
int pc_device_set_all_multicast(uint16_t port, int on);
int pc_device_set_up(uint16_t port, int up);
int pc_device_is_gone(uint16_t port);

/* burst.c */
uint16_t pc_receive(uint16_t port, uint16_t queue, void **frames, uint16_t most, const void *meta,
		    const void *checked, struct pc_received *received);
uint32_t pc_length(void *frame);
void pc_copy_out(void *frame, void *to, uint32_t length);
void pc_transmit(uint16_t port, uint16_t queue, void **frames, uint16_t count, uint16_t will_be_filled,
		 const struct pc_request *requests, uint16_t request_count, struct pc_sent *sent);

_Static_assert(sizeof(struct pc_frame) == PC_FRAME_SIZE, "as Frame");
_Static_assert(sizeof(struct pc_received) == 16, "as in ffi.rs");
_Static_assert(sizeof(struct pc_request) == 8, "as in ffi.rs");
_Static_assert(sizeof(struct pc_sent) == 16, "as in ffi.rs");
_Static_assert(sizeof(struct pc_device) == 64, "as in ffi.rs");
_Static_assert(sizeof(struct pc_setup) == 24, "as in ffi.rs");

#endif
