from ccip_batch.cli import main

main()
