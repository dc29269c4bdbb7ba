<?php

namespace WHMCS\Module\Server\Vmline;

/**
 * Something could not be done; the message is for the person who asked for it.
 */
class Failure extends \RuntimeException
{
}
