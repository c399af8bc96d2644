# System tools in everyone's path, as on Amazon Linux.
case ":$PATH:" in
*:/usr/sbin:*) ;;
*) PATH="$PATH:/usr/local/sbin:/usr/sbin" ;;
esac
