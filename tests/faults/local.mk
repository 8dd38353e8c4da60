# Every call that can fail is made to fail, one after the other.
faults_wrapped = \
	malloc calloc realloc aligned_alloc strdup free vasprintf asprintf \
	mmap munmap madvise mlock mlockall \
	open fopen getline pread pwrite stat lstat fstat fstatfs flock \
	ftruncate fallocate unlink fchmod eventfd close write read \
	socket bind listen connect accept4 recv send getsockopt poll ppoll \
	pthread_create pthread_key_create sched_setscheduler prctl syscall \
	io_uring_queue_init io_uring_register_buffers \
	io_uring_register_iowq_max_workers io_uring_ring_dontfork \
	io_uring_submit io_uring_submit_and_wait_timeout \
	nbd_create nbd_set_uri_allow_local_file nbd_set_pread_initialize \
	nbd_aio_connect_uri nbd_get_size nbd_get_block_size nbd_is_read_only \
	nbd_can_multi_conn nbd_can_trim nbd_aio_pread nbd_aio_pwrite \
	nbd_aio_trim nbd_aio_notify_read nbd_aio_notify_write \
	nbd_aio_disconnect \
	EVP_CIPHER_CTX_new EVP_EncryptInit_ex EVP_DecryptInit_ex \
	EVP_CipherInit_ex EVP_CipherUpdate RAND_priv_bytes \
	cfg_init json_object json_array json_string json_dumps json_loadb \
	json_pack ZSTD_createCCtx ZSTD_createDCtx

check_PROGRAMS += tests/faults/fault-matrix
tests_faults_fault_matrix_SOURCES = tests/faults/fault-matrix.c \
	tests/faults/faults.c tests/faults/faults.h
tests_faults_fault_matrix_CPPFLAGS = $(AM_CPPFLAGS) $(JANSSON_CFLAGS) \
	$(LIBNBD_CFLAGS) $(CONFUSE_CFLAGS) $(URING_CFLAGS) $(CRYPTO_CFLAGS) \
	$(ZSTD_CFLAGS) -I$(srcdir)/tests/unit
tests_faults_fault_matrix_LDADD = tests/unit/libpages.la libtierswap.la \
	$(CMOCKA_LIBS)
tests_faults_fault_matrix_LDFLAGS = $(AM_LDFLAGS) \
	$(faults_wrapped:%=-Wl,--wrap=%)
TESTS += tests/faults/fault-matrix
CLEANFILES += tests/faults/fault-matrix.txt
