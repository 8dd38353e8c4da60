// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tell a swap server in user space whose pages it is given.
 *
 * The bios of swap carry the cgroup of the page's owner, and blk-cgroup never
 * merges bios of different cgroups into one request.  A probe on the
 * block_rq_issue tracepoint puts {offset, length, cgroup id} of each write to a
 * watched disk into a ring before the driver is handed the request, so the tag
 * is always there before the server sees the write.  See tierswap_ioctl.h for
 * the interface.
 *
 * The probe is in the path of memory reclaim: it allocates nothing, waits for
 * nothing, and trusts nothing that it reads from the memory it shares.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/atomic.h>
#include <linux/blk-cgroup.h>
#include <linux/blk-mq.h>
#include <linux/blkdev.h>
#include <linux/capability.h>
#include <linux/cgroup.h>
#include <linux/compat.h>
#include <linux/fs.h>
#include <linux/kdev_t.h>
#include <linux/log2.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/percpu.h>
#include <linux/rculist.h>
#include <linux/slab.h>
#include <linux/tracepoint.h>
#include <linux/uaccess.h>
#include <linux/vmalloc.h>

#include "tierswap_ioctl.h"

#ifndef CONFIG_64BIT
#error "the rings need 64-bit loads and stores that do not tear"
#endif
#ifndef CONFIG_BLK_CGROUP
#error "without CONFIG_BLK_CGROUP no request knows its cgroup"
#endif

#define TIERSWAP_PAGE 4096
#define TIERSWAP_ROOT_CGROUP 1

static unsigned int records = 1024;
module_param(records, uint, 0444);
MODULE_PARM_DESC(records,
		 "Tags that wait for the server, per CPU: a power of two, 64 to 65536");

/* What a CPU remembers of its ring: the mapped copies are for the reader. */
struct tierswap_producer {
	u64 head;
	u64 dropped;
	u64 high_water;
};

/* An open file. */
struct tierswap_reader {
	struct list_head list;	/* of readers */
	dev_t disks[TIERSWAP_WATCH_MAX];	/* watched; 0: none */
	struct tierswap_producer __percpu *producers;
	void *map;
	size_t map_bytes;
	u32 first_ring;
	u32 ring_bytes;
};

/* Of all that follows, and of each reader's disks; the probe uses RCU. */
static DEFINE_MUTEX(tierswap_mutex);
static LIST_HEAD(tierswap_readers);
static unsigned int tierswap_watches;	/* of all readers */
static struct tracepoint *tierswap_tracepoint;

static struct tierswap_ring *tierswap_ring_of(struct tierswap_reader *reader,
					      unsigned int cpu)
{
	return reader->map + reader->first_ring +
	       (size_t)reader->ring_bytes * cpu;
}

/* The cgroup of a request; the root's where there is none, or one of cgroup1. */
static u64 tierswap_cgroup_of(struct request *rq)
{
	struct cgroup_subsys_state *css = bio_blkcg_css(rq->bio);

	if (!css || css->cgroup->root != &cgrp_dfl_root)
		return TIERSWAP_ROOT_CGROUP;
	return cgroup_id(css->cgroup);
}

/* On one CPU, with interrupts off: a ring has one producer. */
static void tierswap_produce(struct tierswap_reader *reader,
			     const struct tierswap_tag *tag)
{
	unsigned int cpu = smp_processor_id();
	struct tierswap_producer *producer =
		per_cpu_ptr(reader->producers, cpu);
	struct tierswap_ring *ring = tierswap_ring_of(reader, cpu);
	struct tierswap_rings *rings = reader->map;
	struct tierswap_record *record;
	u64 sequence, used;

	sequence = atomic64_inc_return((atomic64_t *)&rings->sequence);
	/*
	 * After the reader is done with the record that is overwritten.
	 * Whatever its tail says: no more than all, or there is no room.
	 */
	used = producer->head - smp_load_acquire(&ring->tail);
	if (used >= records) {
		WRITE_ONCE(producer->dropped, producer->dropped + 1);
		/* After all that was made before: the reader looks here first. */
		smp_store_release(&ring->dropped, producer->dropped);
		return;
	}

	record = (struct tierswap_record *)(ring + 1) +
		 (producer->head & (records - 1));
	record->sequence = sequence;
	record->tag = *tag;
	WRITE_ONCE(producer->head, producer->head + 1);
	/* The record is whole when the reader sees it. */
	smp_store_release(&ring->head, producer->head);
	if (used + 1 > producer->high_water) {
		WRITE_ONCE(producer->high_water, used + 1);
		WRITE_ONCE(ring->high_water, used + 1);
	}
}

static bool tierswap_watches_disk(const struct tierswap_reader *reader,
				  dev_t disk)
{
	unsigned int i;

	for (i = 0; i < TIERSWAP_WATCH_MAX; i++)
		if (READ_ONCE(reader->disks[i]) == disk)
			return true;
	return false;
}

static void tierswap_tag_request(struct tierswap_reader *reader,
				 struct request *rq)
{
	u64 start = blk_rq_pos(rq) << SECTOR_SHIFT;
	u64 end = start + blk_rq_bytes(rq);
	struct tierswap_tag tag = {
		.offset = round_down(start, TIERSWAP_PAGE),
		.cgroup = tierswap_cgroup_of(rq),
	};
	unsigned long flags;

	tag.length = round_up(end, TIERSWAP_PAGE) - tag.offset;
	local_irq_save(flags);
	tierswap_produce(reader, &tag);
	local_irq_restore(flags);
}

static void tierswap_block_rq_issue(void *data, struct request *rq)
{
	struct tierswap_reader *reader;
	struct gendisk *disk;
	dev_t devt;

	if (req_op(rq) != REQ_OP_WRITE || !blk_rq_bytes(rq))
		return;
	disk = rq->q->disk;
	if (!disk)
		return;
	devt = disk_devt(disk);

	rcu_read_lock();
	list_for_each_entry_rcu(reader, &tierswap_readers, list)
		if (tierswap_watches_disk(reader, devt))
			tierswap_tag_request(reader, rq);
	rcu_read_unlock();
}

/* The tracepoint is not exported by name, so it is looked for. */
static void tierswap_match_tracepoint(struct tracepoint *tracepoint, void *data)
{
	if (!strcmp(tracepoint->name, "block_rq_issue"))
		tierswap_tracepoint = tracepoint;
}

/* Nothing is attached to the tracepoint while no disk is watched. */
static int tierswap_get_probe(void)
{
	int err;

	if (!tierswap_watches) {
		err = tracepoint_probe_register(tierswap_tracepoint,
						tierswap_block_rq_issue, NULL);
		if (err)
			return err;
	}
	tierswap_watches++;
	return 0;
}

static void tierswap_put_probes(unsigned int count)
{
	tierswap_watches -= count;
	if (count && !tierswap_watches)
		tracepoint_probe_unregister(tierswap_tracepoint,
					    tierswap_block_rq_issue, NULL);
	/* Until no probe runs that has seen what was watched. */
	tracepoint_synchronize_unregister();
}

static int tierswap_read_watch(const struct tierswap_watch __user *from,
			       dev_t *disk)
{
	struct tierswap_watch watch;

	if (copy_from_user(&watch, from, sizeof(watch)))
		return -EFAULT;
	if (watch.reserved || !watch.major || watch.major > 4095 ||
	    watch.minor > MINORMASK)
		return -EINVAL;
	*disk = MKDEV(watch.major, watch.minor);
	return 0;
}

static int tierswap_watch(struct tierswap_reader *reader, dev_t disk)
{
	struct tierswap_reader *other;
	unsigned int i;
	int err;

	if (tierswap_watches_disk(reader, disk))
		return -EEXIST;
	list_for_each_entry(other, &tierswap_readers, list)
		if (tierswap_watches_disk(other, disk))
			return -EBUSY;
	for (i = 0; i < TIERSWAP_WATCH_MAX; i++)
		if (!reader->disks[i])
			break;
	if (i == TIERSWAP_WATCH_MAX)
		return -ENOSPC;
	err = tierswap_get_probe();
	if (err)
		return err;
	WRITE_ONCE(reader->disks[i], disk);
	return 0;
}

static int tierswap_unwatch(struct tierswap_reader *reader, dev_t disk)
{
	unsigned int i;

	for (i = 0; i < TIERSWAP_WATCH_MAX; i++)
		if (reader->disks[i] == disk) {
			WRITE_ONCE(reader->disks[i], 0);
			tierswap_put_probes(1);
			return 0;
		}
	return -ENOENT;
}

static void tierswap_stats(struct tierswap_reader *reader,
			   struct tierswap_shim_stats *stats)
{
	unsigned int cpu, i;

	memset(stats, 0, sizeof(*stats));
	stats->records = records;
	for_each_possible_cpu(cpu) {
		struct tierswap_producer *producer =
			per_cpu_ptr(reader->producers, cpu);

		stats->made += READ_ONCE(producer->head);
		stats->dropped += READ_ONCE(producer->dropped);
		stats->high_water = max_t(u64, stats->high_water,
					  READ_ONCE(producer->high_water));
	}
	for (i = 0; i < TIERSWAP_WATCH_MAX; i++)
		stats->disks += READ_ONCE(reader->disks[i]) != 0;
}

static long tierswap_ioctl(struct file *file, unsigned int command,
			   unsigned long argument)
{
	struct tierswap_reader *reader = file->private_data;
	void __user *user = (void __user *)argument;
	union {
		u32 version;
		struct tierswap_geometry geometry;
		struct tierswap_shim_stats stats;
	} answer;
	dev_t disk;
	int err;

	switch (command) {
	case TIERSWAP_IOC_VERSION:
		answer.version = TIERSWAP_IOC_INTERFACE;
		break;
	case TIERSWAP_IOC_GEOMETRY:
		answer.geometry = (struct tierswap_geometry) {
			.map_bytes = reader->map_bytes,
			.rings = nr_cpu_ids,
			.records = records,
			.first_ring = reader->first_ring,
			.ring_bytes = reader->ring_bytes,
		};
		break;
	case TIERSWAP_IOC_STATS:
		tierswap_stats(reader, &answer.stats);
		break;
	case TIERSWAP_IOC_WATCH:
	case TIERSWAP_IOC_UNWATCH:
		err = tierswap_read_watch(user, &disk);
		if (err)
			return err;
		mutex_lock(&tierswap_mutex);
		if (command == TIERSWAP_IOC_WATCH)
			err = tierswap_watch(reader, disk);
		else
			err = tierswap_unwatch(reader, disk);
		mutex_unlock(&tierswap_mutex);
		return err;
	default:
		return -ENOTTY;
	}
	if (copy_to_user(user, &answer, _IOC_SIZE(command)))
		return -EFAULT;
	return 0;
}

static int tierswap_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct tierswap_reader *reader = file->private_data;

	if (!(vma->vm_flags & VM_SHARED) || vma->vm_pgoff)
		return -EINVAL;
	return remap_vmalloc_range(vma, reader->map, 0);
}

static void tierswap_free(struct tierswap_reader *reader)
{
	vfree(reader->map);
	free_percpu(reader->producers);
	kfree(reader);
}

static int tierswap_open(struct inode *inode, struct file *file)
{
	struct tierswap_reader *reader;

	if (!capable(CAP_SYS_ADMIN))
		return -EPERM;
	reader = kzalloc(sizeof(*reader), GFP_KERNEL);
	if (!reader)
		return -ENOMEM;
	reader->first_ring = PAGE_SIZE;
	reader->ring_bytes = PAGE_ALIGN(sizeof(struct tierswap_ring) +
					records *
					sizeof(struct tierswap_record));
	reader->map_bytes = reader->first_ring +
			    (size_t)reader->ring_bytes * nr_cpu_ids;
	reader->producers = alloc_percpu(struct tierswap_producer);
	reader->map = vmalloc_user(reader->map_bytes);
	if (!reader->producers || !reader->map) {
		tierswap_free(reader);
		return -ENOMEM;
	}
	mutex_lock(&tierswap_mutex);
	list_add_tail_rcu(&reader->list, &tierswap_readers);
	mutex_unlock(&tierswap_mutex);
	file->private_data = reader;
	return nonseekable_open(inode, file);
}

/* A mapping holds the file, so there is none left. */
static int tierswap_release(struct inode *inode, struct file *file)
{
	struct tierswap_reader *reader = file->private_data;
	unsigned int i, count = 0;

	mutex_lock(&tierswap_mutex);
	for (i = 0; i < TIERSWAP_WATCH_MAX; i++)
		count += reader->disks[i] != 0;
	list_del_rcu(&reader->list);
	tierswap_put_probes(count);
	mutex_unlock(&tierswap_mutex);
	tierswap_free(reader);
	return 0;
}

static const struct file_operations tierswap_fops = {
	.owner = THIS_MODULE,
	.open = tierswap_open,
	.release = tierswap_release,
	.mmap = tierswap_mmap,
	.unlocked_ioctl = tierswap_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
};

static struct miscdevice tierswap_device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "tierswap-shim",
	.fops = &tierswap_fops,
	.mode = 0600,
};

static int __init tierswap_init(void)
{
	BUILD_BUG_ON(sizeof(struct tierswap_tag) != 24);
	BUILD_BUG_ON(sizeof(struct tierswap_record) != 32);
	BUILD_BUG_ON(sizeof(struct tierswap_ring) != 256);
	BUILD_BUG_ON(sizeof(struct tierswap_geometry) != 64);
	BUILD_BUG_ON(sizeof(struct tierswap_watch) != 16);
	BUILD_BUG_ON(sizeof(struct tierswap_shim_stats) != 64);

	if (!is_power_of_2(records) || records < 64 || records > 65536) {
		pr_err("records=%u is not a power of two from 64 to 65536\n",
		       records);
		return -EINVAL;
	}
	for_each_kernel_tracepoint(tierswap_match_tracepoint, NULL);
	if (!tierswap_tracepoint) {
		pr_err("this kernel has no tracepoint block_rq_issue\n");
		return -ENODEV;
	}
	return misc_register(&tierswap_device);
}

static void __exit tierswap_exit(void)
{
	misc_deregister(&tierswap_device);
}

module_init(tierswap_init);
module_exit(tierswap_exit);

MODULE_AUTHOR("The tierswap developers");
MODULE_DESCRIPTION("Tells a swap server in user space whose pages it is given");
MODULE_VERSION("0.1.0");
MODULE_LICENSE("GPL");
