<?php

namespace WHMCS\Module\Server\Vmline;

/**
 * Another process applies the events now.
 */
final class LostLock extends Failure
{
}
