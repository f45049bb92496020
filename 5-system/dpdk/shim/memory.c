/* Pools of packet buffers. */

#include <errno.h>

#include <rte_errno.h>
#include <rte_lcore.h>
#include <rte_mbuf.h>
#include <rte_mempool.h>

#include "mbuf.h"
#include "shim.h"

typedef void (*made_fn)(void *, void *, uint32_t);

static void make(struct rte_mempool *pool, void *argument, void *object, unsigned int at)
{
	struct rte_mbuf *mbuf = object;
	made_fn *made = argument;

	(void)pool;
	(void)at;
	(*made)(frame_of(mbuf), mbuf->buf_addr, mbuf->buf_len);
}

void *pc_pool_new(const char *name, uint32_t buffers, uint32_t cache, uint16_t room, int numa_node,
		  made_fn made, int *error)
{
	struct rte_mempool *pool;

	pool = rte_pktmbuf_pool_create(name, buffers, cache, PC_FRAME_SIZE, room, numa_node);
	if (!pool) {
		*error = rte_errno ? -rte_errno : -ENOMEM;
		return NULL;
	}
	rte_mempool_obj_iter(pool, make, &made);
	*error = 0;
	return pool;
}

void pc_pool_free(void *pool)
{
	rte_mempool_free(pool);
}

uint32_t pc_pool_available(const void *pool)
{
	return rte_mempool_avail_count(pool);
}

int pc_buffers_get(void *pool, void **frames, uint32_t count)
{
	int error = rte_pktmbuf_alloc_bulk(pool, (struct rte_mbuf **)frames, count);

	if (error)
		return error;
	for (uint32_t i = 0; i < count; i++)
		frames[i] = frame_of(frames[i]);
	return 0;
}

void pc_buffers_put(void **frames, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		frames[i] = mbuf_of(frames[i]);
	rte_pktmbuf_free_bulk((struct rte_mbuf **)frames, count);
}
